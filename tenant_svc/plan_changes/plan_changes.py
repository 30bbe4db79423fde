"""What can be done about a tenant's plan: start to change it, or find out what would come of it. Opens the doors; the
change itself is a job's (`steps.py`)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.interceptors.errors import Aborted, AlreadyExists
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState, operation_name, under_way
from tenantmesh.tenant_svc.plan_changes.plan_change import (
    NewMigration,
    OverLimit,
    PlanPin,
    check_grace,
    effective_time,
    over_limit,
    over_limits,
    plan_not_found,
    plan_not_published,
)
from tenantmesh.tenant_svc.plans import repository as plans
from tenantmesh.tenant_svc.plans.plan import FeatureType, PlanState, PlanVersion
from tenantmesh.tenant_svc.tenants import repository as tenants
from tenantmesh.tenant_svc.tenants.tenant import RequestKey, Tenant
from tenantmesh.tenant_svc.tenants.tenants import not_found

__all__ = ["MIGRATE_TENANT_PLAN", "Migrations", "Request", "beyond", "plan_to_move_to", "ready_units"]

MIGRATE_TENANT_PLAN = "migrate_tenant_plan"
"""The kind of job that changes a tenant's plan."""

_FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what. `key` makes it repeatable; `etag`, if set, must be the tenant's."""

    migration: NewMigration
    actor: str
    key: RequestKey | None = None
    etag: str = ""


class Migrations:
    """The use cases. Both raise Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs.

    `pooled` says which units of allowances were given out and lie ready; without it they count as used. `moment` says
    what time it is, by default the database's.
    """

    def __init__(
        self,
        doors: Doors,
        new_id: Callable[[], uuid.UUID],
        pooled: Pooled | None = None,
        moment: Callable[[Connection], Awaitable[datetime]] = repository.now,
    ) -> None:
        self._doors = doors
        self._new_id = new_id
        self._pooled = pooled
        self._moment = moment

    async def start(self, tenant_id: TenantId, request: Request) -> Operation:
        """Starts the change, with the job that will make it; a request that is repeated gets the operation that it
        started the first time.

        Raises NotFound `TENANT_NOT_FOUND`, `PLAN_NOT_FOUND`; FailedPrecondition `PLAN_NOT_PUBLISHED`,
        `MIGRATION_UNDER_WAY`; AlreadyExists `REQUEST_ID_REUSED`; Aborted `ETAG_MISMATCH`; InvalidArgument.
        """
        try:
            return await self._store(tenant_id, request)
        except UniqueViolation as violation:
            # Whichever index spoke first: where the request is a repetition, what is under way is its own.
            async with self._doors.tenant(tenant_id, read_only=True) as connection:
                made = await _made_by(connection, tenant_id, request)
                if made is None:
                    raise await _under_way(connection, tenant_id) from violation
                return made

    async def validate(self, tenant_id: TenantId, request: Request) -> Operation:
        """What `start` and the job after it would come to now, without changing anything. Raises what `start` does."""
        ready = await ready_units(self._doors, self._pooled, tenant_id)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            made = await _made_by(connection, tenant_id, request)
            if made is not None:
                return made
            draft, tenant, plan = await self._draft(connection, tenant_id, request)
            if await repository.id_under_way(connection, tenant_id) is not None:
                raise await _under_way(connection, tenant_id)
            entitlements = await reader.load(connection, tenant_id)
            if entitlements is None:
                raise not_found()
            over = await beyond(connection, entitlements, plan, ready)
        return _validated(draft, tenant, over)

    async def _store(self, tenant_id: TenantId, request: Request) -> Operation:
        async with self._doors.tenant(tenant_id) as connection:
            made = await _made_by(connection, tenant_id, request)
            if made is not None:
                return made
            operation, _, _ = await self._draft(connection, tenant_id, request)
            await repository.create(connection, operation, request.key)
            await enqueue(connection, MIGRATE_TENANT_PLAN, operation.name, operation.effective_time)
        return operation

    async def _draft(
        self, connection: Connection, tenant_id: TenantId, request: Request
    ) -> tuple[Operation, Tenant, PlanVersion]:
        """The operation as it begins, the tenant as it is, and the plan to move to."""
        tenant = await tenants.by_id(connection, tenant_id)
        if tenant is None:
            raise not_found()
        if request.etag and request.etag != tenant.etag:
            raise Aborted("ETAG_MISMATCH", "The tenant has changed since it was read. Read it again and repeat.")
        new = request.migration
        plan = await plan_to_move_to(connection, new.plan_id, new.plan_version)
        current = await plans.version(connection, tenant.plan_id, tenant.plan_version)
        if current is None:
            raise LookupError("a tenant pins a version of a plan that is not there")
        now = await self._moment(connection)
        effective = effective_time(new.timing, current, now)
        check_grace(new, effective)
        operation = Operation(
            tenant_id=tenant_id,
            id=self._new_id(),
            state=OperationState.SCHEDULED,
            migration=new,
            from_plan=PlanPin.of(current),
            to_plan=PlanPin.of(plan),
            actor=request.actor,
            effective_time=effective,
            create_time=now,
        )
        return operation, tenant, plan


async def plan_to_move_to(connection: Connection, plan_id: str, version: int) -> PlanVersion:
    """The version of the plan, 0 for the newest published. Raises NotFound `PLAN_NOT_FOUND`, FailedPrecondition
    `PLAN_NOT_PUBLISHED`."""
    if version:
        plan = await plans.version(connection, plan_id, version)
        known = plan is not None
    else:
        plan = await plans.newest_published(connection, plan_id)
        known = plan is not None or await plans.version(connection, plan_id, _FIRST_VERSION) is not None
    if not known:
        raise plan_not_found(plan_id, version)
    if plan is None or plan.state is not PlanState.PUBLISHED:
        raise plan_not_published(plan_id, version)
    return plan


async def ready_units(doors: Doors, pooled: Pooled | None, tenant_id: TenantId) -> Mapping[str, int]:
    """What lies ready of the tenant's allowances, by METERED feature; empty where that can't be told. Ask before a
    transaction is open: it may take as long as the store's timeout."""
    if pooled is None:
        return {}
    async with doors.tenant(tenant_id, read_only=True) as connection:
        features = await plans.features(connection)
    meters = [each.id for each in features.values() if each.type is FeatureType.METERED]
    try:
        return await pooled(tenant_id, meters)
    except StoreUnavailable:
        return {}


async def beyond(
    connection: Connection, entitlements: TenantEntitlements, plan: PlanVersion, ready: Mapping[str, int]
) -> tuple[OverLimit, ...]:
    """What the tenant would use beyond the plan, as of `entitlements.now`."""
    starts = {
        each.feature.id: each.feature.period.start_of(entitlements.now)
        for each in entitlements.features.values()
        if each.feature.type is FeatureType.METERED and each.feature.period is not None
    }
    used = await repository.usage(connection, entitlements.tenant_id, starts)
    used = {meter: replace(usage, ready=ready.get(meter, 0)) for meter, usage in used.items()}
    return over_limits(entitlements, plan, used)


def _validated(draft: Operation, tenant: Tenant, over: tuple[OverLimit, ...]) -> Operation:
    """The dry run's outcome. What only the change itself settles (the tenant's version and time) stays as it is."""
    refused = bool(over) and draft.migration.policy is OverLimitPolicy.REJECT
    plan = draft.to_plan
    return replace(
        draft,
        state=OperationState.VALIDATED,
        end_time=draft.create_time,
        over_limits=over,
        error=Failure.of(over_limit(plan, over)) if refused else None,
        result=None if refused else replace(tenant, plan_id=plan.id, plan_version=plan.version),
    )


async def _made_by(connection: Connection, tenant_id: TenantId, request: Request) -> Operation | None:
    if request.key is None:
        return None
    made = await repository.made_by(connection, tenant_id, request.key)
    if made is None:
        return None
    digest, operation = made
    if digest != request.migration.digest:
        raise AlreadyExists("REQUEST_ID_REUSED", "This request_id has started another migration. Send a new one.")
    return operation


async def _under_way(connection: Connection, tenant_id: TenantId) -> Exception:
    operation_id = await repository.id_under_way(connection, tenant_id)
    return under_way("" if operation_id is None else operation_name(tenant_id, operation_id))
