"""Conversions between grants of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.moments import moment, timestamp
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant_svc.grants.listing import ListedGrant
from tenantmesh.tenant_svc.grants.rules import GrantDraft
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["grant_draft", "grant_message"]


def grant_message(listed: ListedGrant, viewer: Viewer) -> entitlement_pb2.Grant:
    """Return the grant as callers see it."""
    grant = listed.grant
    return entitlement_pb2.Grant(
        id=str(grant.id),
        feature=grant.feature,
        amount=grant.amount,
        priority=grant.priority,
        effective_time=timestamp(grant.effective_time),
        expire_time=None if grant.expire_time is None else timestamp(grant.expire_time),
        max_rollover=grant.max_rollover,
        min_rollover=grant.min_rollover,
        reason=viewer.note(grant.reason),
        remaining=listed.remaining,
        void_time=None if grant.void_time is None else timestamp(grant.void_time),
        create_time=timestamp(grant.create_time),
    )


def grant_draft(asked: entitlement_pb2.Grant) -> GrantDraft:
    """Return the grant in a request. Raises InvalidArgument for a time that is not stored."""
    effective, expire = asked.HasField("effective_time"), asked.HasField("expire_time")
    return GrantDraft(
        feature=asked.feature,
        amount=asked.amount,
        priority=asked.priority,
        effective_time=moment(asked.effective_time, "grant.effective_time") if effective else None,
        expire_time=moment(asked.expire_time, "grant.expire_time") if expire else None,
        max_rollover=asked.max_rollover if asked.HasField("max_rollover") else None,
        min_rollover=asked.min_rollover,
        reason=asked.reason,
    )
