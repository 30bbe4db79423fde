"""The use cases of plan changes: start one, or validate one without changing anything. They open the doors. A job makes
the change (`executor.py`)."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.chassis.requests import RequestKey, stale
from tenantmesh.interceptors import trace_context
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import AlreadyExists
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId, TenantState, no_such_tenant
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled, nothing_pooled
from tenantmesh.tenant_svc.entitlements.standing import Standing
from tenantmesh.tenant_svc.features.repository import all_features
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState, operation_name
from tenantmesh.tenant_svc.plan_changes.plan_change import (
    PLAN_CHANGE,
    NewPlanChange,
    PlanChange,
    PlanPin,
    check_grace,
    effective_time,
    over_limits,
)
from tenantmesh.tenant_svc.plan_changes.refusals import over_limit, under_way
from tenantmesh.tenant_svc.plans import repository as plans
from tenantmesh.tenant_svc.plans.plan import PlanState, PlanVersion
from tenantmesh.tenant_svc.plans.refusals import plan_not_found, plan_not_published
from tenantmesh.tenant_svc.tenants import directory_repository as tenant_directory
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["PLAN_CHANGE_JOB", "PlanChanges", "Request", "pooled_units", "standing_of", "target_plan"]

PLAN_CHANGE_JOB = "migrate_tenant_plan"
"""The kind of job that changes a tenant's plan."""

_FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Request:
    """A request to change a plan. `key` makes it repeatable; `etag`, if set, must be the tenant's."""

    change: NewPlanChange
    actor: str
    key: RequestKey | None = None
    etag: str = ""


class PlanChanges:
    """The use cases. Both raise Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs.

    pooled: the units of allowances in the pool. Without it they count as used.
    moment: the time; by default the database's.
    """

    def __init__(
        self,
        doors: Doors,
        new_id: Callable[[], uuid.UUID],
        pooled: Pooled = nothing_pooled,
        moment: Callable[[Connection], Awaitable[datetime]] = repository.now,
    ) -> None:
        self._doors = doors
        self._new_id = new_id
        self._pooled = pooled
        self._moment = moment

    async def start(self, tenant_id: TenantId, request: Request) -> Operation:
        """Start the change, with the job that makes it. A repeated request gets the operation that it started the first
        time.

        Raises NotFound `TENANT_NOT_FOUND`, `PLAN_NOT_FOUND`; FailedPrecondition `PLAN_NOT_PUBLISHED`,
        `MIGRATION_UNDER_WAY`; AlreadyExists `REQUEST_ID_REUSED`; Aborted `ETAG_MISMATCH`; InvalidArgument.
        """
        try:
            return await self._store(tenant_id, request)
        except UniqueViolation as violation:
            # Either unique index may be violated: a repeated request also finds its own operation under way.
            async with self._doors.tenant(tenant_id, read_only=True) as connection:
                made = await _made_by(connection, tenant_id, request)
                if made is None:
                    raise await _under_way(connection, tenant_id) from violation
                return made

    async def validate(self, tenant_id: TenantId, request: Request) -> Operation:
        """Return the outcome that `start` and its job would have now, without changing anything. Raises as `start`."""
        pooled = await pooled_units(self._doors, self._pooled, tenant_id)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            made = await _made_by(connection, tenant_id, request)
            if made is not None:
                return made
            draft, tenant, plan = await self._draft(connection, tenant_id, request)
            if await repository.id_under_way(connection, tenant_id, PLAN_CHANGE) is not None:
                raise await _under_way(connection, tenant_id)
            standing = await standing_of(connection, tenant_id, pooled)
        return _validated(draft, tenant, standing, plan)

    async def _store(self, tenant_id: TenantId, request: Request) -> Operation:
        async with self._doors.tenant(tenant_id) as connection:
            made = await _made_by(connection, tenant_id, request)
            if made is not None:
                return made
            operation, _, _ = await self._draft(connection, tenant_id, request)
            operation = replace(operation, cause=trace_context())
            await repository.create(connection, operation, request.key, request.change.digest)
            await enqueue(connection, PLAN_CHANGE_JOB, operation.name, operation.effective_time)
        return operation

    async def _draft(
        self, connection: Connection, tenant_id: TenantId, request: Request
    ) -> tuple[Operation, Tenant, PlanVersion]:
        """Return the operation as it begins, the tenant, and its new plan."""
        tenant = await tenant_directory.by_id(connection, tenant_id)
        if tenant is None or tenant.state is TenantState.DELETED:
            raise no_such_tenant()
        if request.etag and request.etag != tenant.etag:
            raise stale("tenant")
        new = request.change
        plan = await target_plan(connection, new.plan_id, new.plan_version)
        current = await plans.version(connection, tenant.plan_id, tenant.plan_version)
        if current is None:
            raise LookupError("a tenant pins a version of a plan that does not exist")
        now = await self._moment(connection)
        effective = effective_time(new.timing, current, now)
        check_grace(new, effective)
        operation = Operation(
            tenant_id=tenant_id,
            id=self._new_id(),
            type=PLAN_CHANGE,
            state=OperationState.SCHEDULED,
            request=new.to_json(),
            progress=PlanChange(new, PlanPin.of(current), PlanPin.of(plan)).progress,
            actor=request.actor,
            effective_time=effective,
            create_time=now,
        )
        return operation, tenant, plan


async def target_plan(connection: Connection, plan_id: str, version: int) -> PlanVersion:
    """Return the version of the plan that tenants can be put on, 0 for the newest published.

    Raises NotFound `PLAN_NOT_FOUND`, FailedPrecondition `PLAN_NOT_PUBLISHED`.
    """
    if version:
        plan = await plans.version(connection, plan_id, version)
        exists = plan is not None
    else:
        plan = await plans.newest_published(connection, plan_id)
        exists = plan is not None or await plans.version(connection, plan_id, _FIRST_VERSION) is not None
    if not exists:
        raise plan_not_found(plan_id, version)
    if plan is None or plan.state is not PlanState.PUBLISHED:
        raise plan_not_published(plan_id, version)
    return plan


async def pooled_units(doors: Doors, pooled: Pooled, tenant_id: TenantId) -> Mapping[str, int]:
    """Return the tenant's units in the pool, by METERED feature; empty while the pool is away.

    Call this while no transaction is open: the pool may take as long as its timeout.
    """
    if pooled is nothing_pooled:
        return {}
    async with doors.tenant(tenant_id, read_only=True) as connection:
        features = await all_features(connection)
    meters = [feature.id for feature in features.values() if feature.type is FeatureType.METERED]
    try:
        return await pooled(tenant_id, meters)
    except StoreUnavailable:
        return {}


async def standing_of(connection: Connection, tenant_id: TenantId, pooled: Mapping[str, int]) -> Standing:
    """Return the tenant's current entitlements and usage. Raises NotFound."""
    found = await reader.load_with_spent(connection, tenant_id)
    if found is None:
        raise no_such_tenant()
    return Standing(found.entitlements, found.spent, pooled)


def _validated(draft: Operation, tenant: Tenant, standing: Standing, plan: PlanVersion) -> Operation:
    """Return the outcome of the dry run. The tenant's version and time stay as they are: only the change itself sets
    them."""
    change = replace(PlanChange.of(draft), over_limits=over_limits(standing, plan))
    refused = bool(change.over_limits) and change.request.policy is OverLimitPolicy.REJECT
    moved = replace(tenant, plan_id=plan.id, plan_version=plan.version)
    return replace(
        draft,
        state=OperationState.VALIDATED,
        progress=change.progress,
        end_time=draft.create_time,
        error=Failure.of(over_limit(change.to_plan, change.over_limits)) if refused else None,
        result=None if refused else moved.to_json(),
    )


async def _made_by(connection: Connection, tenant_id: TenantId, request: Request) -> Operation | None:
    if request.key is None:
        return None
    made = await repository.made_by(connection, tenant_id, request.key)
    if made is None:
        return None
    digest, operation = made
    if digest != request.change.digest:
        raise AlreadyExists("REQUEST_ID_REUSED", "This request_id has started another operation. Send a new one.")
    return operation


async def _under_way(connection: Connection, tenant_id: TenantId) -> Exception:
    operation_id = await repository.id_under_way(connection, tenant_id, PLAN_CHANGE)
    return under_way("" if operation_id is None else operation_name(tenant_id, operation_id))
