"""The change of a plan, step by step, as a job does it: checking, then applying in one transaction.

Every step may be repeated and every step may be the last that a process lives to see: what was done is in the
operation's row, and only the last transaction changes anything else. It holds the row, so whoever comes second finds
the operation ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements import reader, terms
from tenantmesh.tenant_svc.entitlements import repository as entitlements
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState, ended_by_us
from tenantmesh.tenant_svc.plan_changes.plan_change import move_words, over_limit, terms_after
from tenantmesh.tenant_svc.plan_changes.plan_changes import beyond, plan_to_move_to, ready_units
from tenantmesh.tenant_svc.tenants import repository as tenants
from tenantmesh.tenant_svc.tenants.events import EventType
from tenantmesh.tenant_svc.tenants.tenants import not_found

__all__ = ["MigrationSteps"]


class MigrationSteps:
    """Changes plans. All methods raise Unavailable when the database can't be reached; the job is then tried again.

    `pooled` says which units of allowances were given out and lie ready; without it they count as used.
    """

    def __init__(self, doors: Doors, pooled: Pooled | None = None) -> None:
        self._doors = doors
        self._pooled = pooled

    async def run(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Takes the operation to its end, from wherever it is, and returns it. One that has ended stays as it is; None
        when there is none."""
        for step in (self.begin, self.check, self.apply):
            operation = await step(tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
        return operation

    async def begin(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Says that the check has begun."""
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.state is not OperationState.SCHEDULED:
                return operation
            begun = replace(operation, state=OperationState.CHECKING)
            await repository.advance(connection, begun)
        return begun

    async def check(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Compares what the tenant uses with the new limits, and ends an operation that can't succeed."""
        ready = await ready_units(self._doors, self._pooled, tenant_id)
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
            checked, _ = await self._checked(connection, operation, ready)
            if checked.error is not None:
                return await repository.end(connection, checked)
            await repository.advance(connection, checked)
        return checked

    async def apply(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Changes the plan and ends the operation, both or neither. Everything is checked again: what was true before
        may not be."""
        ready = await ready_units(self._doors, self._pooled, tenant_id)
        async with self._doors.tenant(tenant_id) as connection:
            await entitlements.hold(connection, tenant_id)
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
            # Before the plan is read: versions are published and archived under this lock, so none is pinned that was
            # just archived.
            await tenants.lock_log(connection)
            checked, before = await self._checked(connection, operation, ready)
            if before is None:
                return await repository.end(connection, checked)
            return await self.change(connection, checked, before)

    async def give_up(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        """Ends an operation that fails again and again for a reason of our own."""
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, operation_id)
            if operation is None or operation.done:
                return operation
            return await repository.end(
                connection, replace(operation, state=OperationState.FAILED, error=ended_by_us())
            )

    async def change(self, connection: Connection, operation: Operation, before: TenantEntitlements) -> Operation:
        """The effect, within the transaction that holds the tenant, the operation and the log."""
        tenant_id = operation.tenant_id
        after = await repository.set_plan(connection, tenant_id, operation.to_plan)
        await tenants.record_event(connection, tenant_id, EventType.UPDATED.value)
        await entitlements.set_terms(connection, tenant_id, terms_after(operation.migration, before))
        await terms.settle_now(connection, tenant_id)
        await entitlements.record(
            connection,
            tenant_id,
            type="PLAN_CHANGED",
            feature="",
            actor=operation.actor,
            reason=operation.migration.reason,
            before=str(operation.from_plan),
            after=move_words(operation.migration, operation.to_plan),
        )
        return await repository.end(connection, replace(operation, state=OperationState.SUCCEEDED, result=after))

    async def _checked(
        self, connection: Connection, operation: Operation, ready: Mapping[str, int]
    ) -> tuple[Operation, TenantEntitlements | None]:
        """The operation as it goes on, with what the tenant has before it; or as it ends, with None."""
        try:
            plan = await plan_to_move_to(connection, operation.to_plan.id, operation.to_plan.version)
            have = await reader.load(connection, operation.tenant_id)
            if have is None:
                raise not_found()
        except MeshError as error:
            return _failed(operation, error), None
        over = await beyond(connection, have, plan, ready)
        checked = replace(operation, state=OperationState.APPLYING, over_limits=over)
        if over and operation.migration.policy is OverLimitPolicy.REJECT:
            return _failed(checked, over_limit(operation.to_plan, over)), None
        return checked, have


def _failed(operation: Operation, error: MeshError) -> Operation:
    return replace(operation, state=OperationState.FAILED, error=Failure.of(error))
