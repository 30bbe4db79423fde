"""Carrying out the change of a plan in a job: checking, then applying in one transaction.

A process may die after any of the three steps, and each may be repeated: the operation's row records the progress, and
only the last transaction changes anything else. It locks the row, so that a second run finds the operation ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled, nothing_pooled
from tenantmesh.tenant_svc.entitlements.repository import lock_tenant, set_terms
from tenantmesh.tenant_svc.entitlements.terms import end_read_only_now
from tenantmesh.tenant_svc.history.event import ChangeType, NewChange
from tenantmesh.tenant_svc.history.repository import record
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.operation import FAILED_BY_US, Failure, Operation, OperationState
from tenantmesh.tenant_svc.plan_changes.plan_change import PlanChange, over_limits, plan_words, terms_after
from tenantmesh.tenant_svc.plan_changes.plan_changes import pooled_units, standing_of, target_plan
from tenantmesh.tenant_svc.plan_changes.refusals import over_limit
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants import repository as tenants
from tenantmesh.tenant_svc.tenants.events import EventType

__all__ = ["PlanChangeExecutor"]


class PlanChangeExecutor:
    """The executor of plan changes. All methods raise Unavailable when the database can't be reached; the job is then
    retried.

    pooled: the units of allowances in the pool. Without it they count as used.
    """

    def __init__(self, doors: Doors, pooled: Pooled | None = None) -> None:
        self._doors = doors
        self._pooled = pooled or nothing_pooled

    async def run(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Carry the operation on to its end, and return it; None when it does not exist. An ended operation stays as it
        is."""
        for step in (self.begin, self.check, self.apply):
            operation = await step(tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
        return operation

    async def cause(self, tenant_id: TenantId, operation_id: uuid.UUID) -> TraceContext | None:
        """Return the trace of the call that asked for the operation."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            operation = await repository.get(connection, tenant_id, operation_id)
        return None if operation is None else operation.cause

    async def begin(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Store that the check has begun."""
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.state is not OperationState.SCHEDULED:
                return operation
            begun = replace(operation, state=OperationState.CHECKING)
            await repository.advance(connection, begun)
        return begun

    async def check(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Compare the tenant's usage with the new limits, and end an operation that can't succeed."""
        pooled = await pooled_units(self._doors, self._pooled, tenant_id)
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
            checked, _ = await self._checked(connection, operation, pooled)
            if checked.error is not None:
                return await repository.end(connection, checked)
            await repository.advance(connection, checked)
        return checked

    async def apply(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Change the plan and end the operation, in one transaction. Check everything again, since it may have
        changed."""
        pooled = await pooled_units(self._doors, self._pooled, tenant_id)
        async with self._doors.tenant(tenant_id) as connection:
            await lock_tenant(connection, tenant_id)
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
            # Lock before reading the plan: versions are archived under this lock, so the tenant pins none that was just
            # archived.
            await lock_log(connection)
            checked, before = await self._checked(connection, operation, pooled)
            if before is None:
                return await repository.end(connection, checked)
            return await self.change(connection, checked, before)

    async def give_up(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """End an operation that fails again and again, through no fault of the caller."""
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
            return await repository.end(connection, replace(operation, state=OperationState.FAILED, error=FAILED_BY_US))

    async def change(self, connection: Connection, operation: Operation, before: TenantEntitlements) -> Operation:
        """Make the change, within the transaction that has locked the tenant, the operation and the log."""
        tenant_id, change = operation.owner, PlanChange.of(operation)
        after = await tenants.set_plan(connection, tenant_id, change.to_plan.id, change.to_plan.version)
        await tenants.record_event(connection, tenant_id, EventType.UPDATED.value)
        await set_terms(connection, tenant_id, terms_after(change.request, before))
        await end_read_only_now(connection, tenant_id)
        entry = NewChange(
            type=ChangeType.PLAN_CHANGED,
            actor=operation.actor,
            reason=change.request.reason,
            before=str(change.from_plan),
            after=plan_words(change.request, change.to_plan),
        )
        await record(connection, tenant_id, entry)
        succeeded = replace(operation, state=OperationState.SUCCEEDED, result=after.to_json())
        return await repository.end(connection, succeeded)

    async def _checked(
        self, connection: Connection, operation: Operation, pooled: Mapping[str, int]
    ) -> tuple[Operation, TenantEntitlements | None]:
        """Return the operation after the check, with the tenant's entitlements before the change; or the failed
        operation, with None."""
        change = PlanChange.of(operation)
        try:
            plan = await target_plan(connection, change.to_plan.id, change.to_plan.version)
            standing = await standing_of(connection, operation.owner, pooled)
        except MeshError as error:
            return _failed(operation, error), None
        over = over_limits(standing, plan)
        progress = replace(change, over_limits=over).progress
        checked = replace(operation, state=OperationState.APPLYING, progress=progress)
        if over and change.request.policy is OverLimitPolicy.REJECT:
            return _failed(checked, over_limit(change.to_plan, over)), None
        return checked, standing.entitlements


def _failed(operation: Operation, error: MeshError) -> Operation:
    return replace(operation, state=OperationState.FAILED, error=Failure.of(error))
