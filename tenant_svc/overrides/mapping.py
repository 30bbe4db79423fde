"""Conversions between overrides of the domain and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.moments import moment, timestamp
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.entitlements.entitlement import Override
from tenantmesh.tenant_svc.features.mapping import value_message, value_of
from tenantmesh.tenant_svc.overrides.rules import OverrideDraft
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["override_draft", "override_message"]


def override_message(override: Override, viewer: Viewer) -> entitlement_pb2.Override:
    """Return the override as callers see it."""
    return entitlement_pb2.Override(
        feature=override.feature,
        value=value_message(override.value),
        reason=viewer.note(override.reason),
        expire_time=None if override.expire_time is None else timestamp(override.expire_time),
        create_time=timestamp(override.create_time),
    )


def override_draft(request: pb.SetOverrideRequest) -> OverrideDraft:
    """Return the override in a request. Raises InvalidArgument for a time that is not stored."""
    asked = request.override
    return OverrideDraft(
        feature=request.feature,
        named=asked.feature,
        value=value_of(asked.value) if asked.HasField("value") else None,
        reason=asked.reason,
        expire_time=moment(asked.expire_time, "override.expire_time") if asked.HasField("expire_time") else None,
    )
