"""Conversions between changes of plans and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from google.protobuf.message import Message

from tenantmesh.chassis.moments import moment, timestamp
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy
from tenantmesh.tenant_svc.operations.mapping import OperationMessages, state_value
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.plan_changes.plan_change import NewPlanChange, OverLimit, PlanChange, Timing
from tenantmesh.tenant_svc.tenants.mapping import tenant_message
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["PlanChangeMessages", "plan_change_of"]

_TIMINGS: dict[int, Timing] = {
    pb.MIGRATION_TIMING_UNSPECIFIED: Timing.IMMEDIATE,
    **{pb.MigrationTiming.Value(f"MIGRATION_TIMING_{timing.value}"): timing for timing in Timing},
}
_POLICIES: dict[int, OverLimitPolicy] = {
    pb.OVER_LIMIT_POLICY_UNSPECIFIED: OverLimitPolicy.REJECT,
    **{pb.OverLimitPolicy.Value(f"OVER_LIMIT_POLICY_{policy.value}"): policy for policy in OverLimitPolicy},
}


def plan_change_of(request: pb.MigrateTenantPlanRequest) -> NewPlanChange:
    """Return the change in a request. Raises InvalidArgument that names every field at fault."""
    grace_until = moment(request.grace_until, "grace_until") if request.HasField("grace_until") else None
    return NewPlanChange.checked(
        plan_id=request.plan_id,
        plan_version=request.plan_version,
        timing=_TIMINGS.get(request.timing),
        policy=_POLICIES.get(request.over_limit_policy),
        grace_until=grace_until,
        reason=request.reason,
    )


class PlanChangeMessages(OperationMessages):
    """See OperationMessages."""

    def metadata(self, operation: Operation, viewer: Viewer) -> Message:
        """See OperationMessages. Users do not see which credential has cancelled it."""
        change = PlanChange.of(operation)
        return pb.MigrateTenantPlanMetadata(
            state=state_value(operation.state),
            progress_percent=operation.state.percent,
            from_plan_id=change.from_plan.id,
            from_plan_version=change.from_plan.version,
            to_plan_id=change.to_plan.id,
            to_plan_version=change.to_plan.version,
            effective_time=timestamp(operation.effective_time),
            over_limits=[_over_limit(over) for over in change.over_limits],
            create_time=timestamp(operation.create_time),
            end_time=None if operation.end_time is None else timestamp(operation.end_time),
            cancelled_by=viewer.note(operation.cancelled_by),
        )

    def response(self, operation: Operation) -> Message:
        """See OperationMessages: the tenant on its new plan."""
        tenant = Tenant.from_json(operation.owner, operation.result or {})
        return tenant_message(tenant, Viewer(notes=False, every_plan=False))  # a result has no notes


def _over_limit(over: OverLimit) -> pb.OverLimit:
    return pb.OverLimit(feature=over.feature, used=over.used, limit=over.limit)
