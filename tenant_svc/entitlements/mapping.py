"""Between entitlements of the domain and the messages of the contract. Nothing here decides anything."""

from __future__ import annotations

from tenantmesh.chassis.event_log.watch import Change
from tenantmesh.chassis.moments import duration, moment, timestamp
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.servers.status import to_status
from tenantmesh.tenant.v1 import entitlement_pb2, tenant_service_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.checks.decision import Decision
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, Override, Source
from tenantmesh.tenant_svc.entitlements.entitlements import Explanation
from tenantmesh.tenant_svc.entitlements.rules import Check, GrantDraft, OverrideDraft
from tenantmesh.tenant_svc.entitlements.standing import Standing, Usage
from tenantmesh.tenant_svc.grants.grants import Holding
from tenantmesh.tenant_svc.history.event import ChangeType, EntitlementEvent
from tenantmesh.tenant_svc.plans.mapping import (
    feature_type_message,
    period_message,
    rate_messages,
    value_message,
    value_of,
)

__all__ = [
    "change_message",
    "check_of",
    "decision_message",
    "entitlements_message",
    "error_message",
    "event_message",
    "explanation_message",
    "grant_draft",
    "grant_message",
    "override_draft",
    "override_message",
    "result_message",
]

_SOURCES = {source: entitlement_pb2.EntitlementSource.Value(f"ENTITLEMENT_SOURCE_{source.value}") for source in Source}
_CHANGES = {
    kind: entitlement_pb2.EntitlementChangeType.Value(f"ENTITLEMENT_CHANGE_TYPE_{kind.value}") for kind in ChangeType
}


def entitlements_message(standing: Standing, *, with_usage: bool) -> entitlement_pb2.Entitlements:
    """All that a tenant is entitled to, as callers see it."""
    found = standing.entitlements
    message = entitlement_pb2.Entitlements(
        tenant_id=str(found.tenant_id),
        plan_id=found.plan.id,
        plan_version=found.plan.version,
        revision=found.revision,
        entitlements=[
            _entitlement_message(each, standing.usage(each) if with_usage else None) for each in found.features.values()
        ],
        rates=rate_messages(found.rates),
        over_limit=found.over_limit,
        read_only=found.read_only,
    )
    if found.valid_for is not None:
        message.valid_for.CopyFrom(duration(found.valid_for))
    return message


def decision_message(decision: Decision) -> pb.Decision:
    """The answer to a check."""
    return pb.Decision(
        allowed=decision.allowed,
        reason=decision.reason,
        entitlement=_entitlement_message(decision.entitlement, decision.usage),
    )


def result_message(answer: tuple[Standing, Decision] | MeshError) -> pb.CheckResult:
    """The answer to a check of a batch."""
    if isinstance(answer, MeshError):
        return pb.CheckResult(error=to_status(answer))
    return pb.CheckResult(decision=decision_message(answer[1]))


def explanation_message(explanation: Explanation) -> pb.ExplainEntitlementResponse:
    """A decision with its reasons."""
    return pb.ExplainEntitlementResponse(
        decision=decision_message(explanation.decision),
        steps=explanation.steps,
        grants=[grant_message(each) for each in explanation.grants],
        recent_changes=[change_message(each) for each in explanation.recent],
    )


def override_message(override: Override) -> entitlement_pb2.Override:
    """The override as callers see it."""
    return entitlement_pb2.Override(
        feature=override.feature,
        value=value_message(override.value),
        reason=override.reason,
        expire_time=None if override.expire_time is None else timestamp(override.expire_time),
        create_time=timestamp(override.create_time),
    )


def grant_message(holding: Holding) -> entitlement_pb2.Grant:
    """The grant as callers see it."""
    grant = holding.grant
    return entitlement_pb2.Grant(
        id=str(grant.id),
        feature=grant.feature,
        amount=grant.amount,
        priority=grant.priority,
        effective_time=timestamp(grant.effective_time),
        expire_time=None if grant.expire_time is None else timestamp(grant.expire_time),
        max_rollover=grant.max_rollover,
        min_rollover=grant.min_rollover,
        reason=grant.reason,
        remaining=holding.remaining,
        void_time=None if grant.void_time is None else timestamp(grant.void_time),
        create_time=timestamp(grant.create_time),
    )


def change_message(event: EntitlementEvent) -> entitlement_pb2.EntitlementChange:
    """An entry of the history."""
    return entitlement_pb2.EntitlementChange(
        position=event.position,
        type=_CHANGES[event.type],
        feature=event.feature,
        actor=event.actor,
        reason=event.reason,
        before=event.before,
        after=event.after,
        create_time=timestamp(event.create_time),
    )


def event_message(change: Change[EntitlementEvent]) -> pb.WatchEntitlementsResponse:
    """One message of a stream: what happened, or a checkpoint."""
    event = change.event
    if event is None:
        checkpoint = tenant_service_pb2.Checkpoint(caught_up=change.caught_up)
        return pb.WatchEntitlementsResponse(checkpoint=checkpoint, cursor=change.cursor)
    result = pb.EntitlementEvent(
        tenant_id="" if event.tenant_id is None else str(event.tenant_id),
        change=change_message(event),
        plan_id=event.plan_id,
        plan_version=event.plan_version,
    )
    return pb.WatchEntitlementsResponse(result=result, cursor=change.cursor)


def error_message(error: MeshError, cursor: str) -> pb.WatchEntitlementsResponse:
    """The last message of a stream that failed, with the cursor of the last good one."""
    return pb.WatchEntitlementsResponse(error=to_status(error), cursor=cursor)


def check_of(request: pb.CheckEntitlementRequest) -> Check:
    """The question in a request."""
    return Check(request.id, request.feature, request.amount)


def override_draft(request: pb.SetOverrideRequest) -> OverrideDraft:
    """The override in a request. Raises InvalidArgument for a time that is none."""
    asked = request.override
    return OverrideDraft(
        feature=request.feature,
        named=asked.feature,
        value=value_of(asked.value) if asked.HasField("value") else None,
        reason=asked.reason,
        expire_time=moment(asked.expire_time, "override.expire_time") if asked.HasField("expire_time") else None,
    )


def grant_draft(asked: entitlement_pb2.Grant) -> GrantDraft:
    """The grant in a request. Raises InvalidArgument for a time that is none."""
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


def _entitlement_message(each: Effective, usage: Usage | None) -> entitlement_pb2.Entitlement:
    feature = each.feature
    message = entitlement_pb2.Entitlement(
        feature=feature.id,
        type=feature_type_message(feature.type),
        source=_SOURCES[each.source],
        available_in=each.available_in,
        period=period_message(feature.period),
        unit=feature.unit,
        enabled=each.enabled,
    )
    if each.value is not None:
        message.value.CopyFrom(value_message(each.value))
    if each.plan_value is not None:
        message.plan_value.CopyFrom(value_message(each.plan_value))
    if each.override is not None:
        message.override_value.CopyFrom(value_message(each.override.value))
    if feature.type is FeatureType.METERED:
        message.granted = each.granted
    if usage is not None:
        message.usage.CopyFrom(_usage_message(usage))
    return message


def _usage_message(usage: Usage) -> entitlement_pb2.Usage:
    return entitlement_pb2.Usage(
        used=usage.used,
        limit=usage.limit or 0,
        unlimited=usage.limit is None,
        remaining=usage.remaining or 0,
        period_start=None if usage.period_start is None else timestamp(usage.period_start),
        reset_time=None if usage.reset_time is None else timestamp(usage.reset_time),
    )
