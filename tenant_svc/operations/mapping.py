"""Between the operations of the domain and the messages of the contract. Nothing here decides anything."""

from __future__ import annotations

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tenantmesh.chassis.moments import moment, timestamp
from tenantmesh.interceptors.servers.status import DOMAIN
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import LONGEST_WAIT
from tenantmesh.tenant_svc.plan_changes.plan_change import NewMigration, OverLimit, Timing
from tenantmesh.tenant_svc.tenants.mapping import tenant_message

__all__ = ["migration_of", "operation_message", "seconds_of"]

_STATES = {state: pb.MigrationState.Value(f"MIGRATION_STATE_{state.value}") for state in OperationState}
_TIMINGS: dict[int, Timing] = {
    pb.MIGRATION_TIMING_UNSPECIFIED: Timing.IMMEDIATE,
    **{pb.MigrationTiming.Value(f"MIGRATION_TIMING_{each.value}"): each for each in Timing},
}
_POLICIES: dict[int, OverLimitPolicy] = {
    pb.OVER_LIMIT_POLICY_UNSPECIFIED: OverLimitPolicy.REJECT,
    **{pb.OverLimitPolicy.Value(f"OVER_LIMIT_POLICY_{each.value}"): each for each in OverLimitPolicy},
}
_DEFAULT_WAIT_SECONDS = 10.0


def migration_of(request: pb.MigrateTenantPlanRequest) -> NewMigration:
    """What is asked for. Raises InvalidArgument that names every field at fault."""
    grace_until = moment(request.grace_until, "grace_until") if request.HasField("grace_until") else None
    return NewMigration.checked(
        plan_id=request.plan_id,
        plan_version=request.plan_version,
        timing=_TIMINGS.get(request.timing),
        policy=_POLICIES.get(request.over_limit_policy),
        grace_until=grace_until,
        reason=request.reason,
    )


def seconds_of(timeout: Duration | None) -> float:
    """How long to wait: what is asked for within what is allowed, or what is usual."""
    if timeout is None:
        return _DEFAULT_WAIT_SECONDS
    return min(max(timeout.seconds + timeout.nanos / 1e9, 0.0), LONGEST_WAIT.total_seconds())


def operation_message(operation: Operation) -> operations_pb2.Operation:
    """The operation as callers see it."""
    message = operations_pb2.Operation(name=operation.name, done=operation.done)
    message.metadata.Pack(_metadata(operation))
    if operation.error is not None:
        message.error.CopyFrom(_status(operation.error))
    elif operation.result is not None:
        message.response.Pack(tenant_message(operation.result))
    return message


def _metadata(operation: Operation) -> pb.MigrateTenantPlanMetadata:
    return pb.MigrateTenantPlanMetadata(
        state=_STATES[operation.state],
        progress_percent=operation.state.percent,
        from_plan_id=operation.from_plan.id,
        from_plan_version=operation.from_plan.version,
        to_plan_id=operation.to_plan.id,
        to_plan_version=operation.to_plan.version,
        effective_time=timestamp(operation.effective_time),
        over_limits=[_over_limit(each) for each in operation.over_limits],
        create_time=timestamp(operation.create_time),
        end_time=None if operation.end_time is None else timestamp(operation.end_time),
        cancelled_by=operation.cancelled_by,
    )


def _over_limit(each: OverLimit) -> pb.OverLimit:
    return pb.OverLimit(feature=each.feature, used=each.used, limit=each.limit)


def _status(failure: Failure) -> status_pb2.Status:
    """As the chain answers a refused call; the code comes by name, since some are an operation's alone."""
    status = status_pb2.Status(code=code_pb2.Code.Value(failure.code), message=failure.message)
    info = error_details_pb2.ErrorInfo(reason=failure.reason, domain=DOMAIN, metadata=dict(failure.metadata))
    status.details.add().Pack(info)
    return status
