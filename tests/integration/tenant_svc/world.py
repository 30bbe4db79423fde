"""Tenants that are about to change their plans, and what the database says of them afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.plan_changes.plan_change import NewPlanChange, Timing
from tenantmesh.tenant_svc.plan_changes.plan_changes import PlanChanges, Request
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import eventually, new_tenant

ACTOR = "key-of-an-operator"
_Made = TypeVar("_Made")


def request(plan: str = "enterprise", *, key: uuid.UUID | None = None, etag: str = "", **fields: Any) -> Request:
    """A request as it comes from the servicer: by default to a larger plan, now."""
    asked = {
        "plan_version": 0,
        "timing": Timing.IMMEDIATE,
        "policy": OverLimitPolicy.REJECT,
        "grace_until": None,
        "reason": "",
    }
    change = NewPlanChange.checked(plan_id=plan, **{**asked, **fields})
    return Request(change, ACTOR, RequestKey(ACTOR, key) if key else None, etag)


@dataclass(frozen=True)
class World:
    """Makes tenants, and looks at rows as the superuser does: past row-level security."""

    database: WorkerDatabase
    doors: Doors
    tenants: Tenants

    @property
    def plan_changes(self) -> PlanChanges:
        return PlanChanges(self.doors, uuid7)

    async def tenant(self) -> Tenant:
        """A new tenant on premium."""
        return await self.tenants.create(new_tenant(), None)

    async def started(self, plan: str = "enterprise", **fields: Any) -> Operation:
        """A plan change of a new tenant that no worker has seen."""
        return await self.plan_changes.start((await self.tenant()).id, request(plan, **fields))

    async def rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        async with self.superuser() as connection:
            return list(await connection.fetch(query, *arguments))

    @asynccontextmanager
    async def superuser(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(self.database.admin_url.get_secret_value())
        try:
            yield connection
        finally:
            await connection.close()

    async def effects(self, tenant_id: TenantId) -> list[tuple[str, str]]:
        """Every change of the tenant's plan that its history tells, but for its first plan: before and after."""
        query = """select before, after from tenant.entitlement_events
            where tenant_id = $1 and type = 'PLAN_CHANGED' and before <> ''"""
        return [(row["before"], row["after"]) for row in await self.rows(query, tenant_id)]

    async def updates(self, tenant_id: TenantId) -> list[str]:
        """The plans that the tenant's own log tells of, after its creation."""
        query = (
            "select plan_id || '@' || plan_version as plan from tenant.tenant_events "
            "where tenant_id = $1 and type = 'UPDATED' order by position"
        )
        return [row["plan"] for row in await self.rows(query, tenant_id)]

    async def jobs(self, operation: Operation) -> list[asyncpg.Record]:
        """The jobs about the operation that are in the queue."""
        return await self.rows("select * from jobs.pgqueuer where payload = $1", operation.name.encode())

    async def level(self, tenant_id: TenantId, gauge: str, level: int) -> None:
        """Says how much of a gauge the tenant uses."""
        await self.rows(
            "insert into tenant.gauges (tenant_id, feature_id, level, update_time) values ($1, $2, $3, now())",
            tenant_id,
            gauge,
            level,
        )

    async def crossings(self, tenant_id: TenantId) -> list[tuple[str, str]]:
        """Every time a level went past its limit, as the history tells it: before and after."""
        query = (
            "select before, after from tenant.entitlement_events "
            "where tenant_id = $1 and type = 'LIMIT_CROSSED' order by position"
        )
        return [(row["before"], row["after"]) for row in await self.rows(query, tenant_id)]

    async def entitlements(self, tenant_id: TenantId) -> TenantEntitlements:
        """What the tenant is entitled to now."""
        async with self.doors.tenant(tenant_id, read_only=True) as connection:
            loaded = await reader.load(connection, tenant_id)
        assert loaded is not None
        return loaded

    async def used(self, tenant_id: TenantId, meter: str, given: int, from_plan: int) -> None:
        """Says how much of a daily allowance the tenant has used today."""
        await self.rows(
            "insert into tenant.quota_ledger (tenant_id, feature_id, period_start, given, from_plan, update_time) "
            "values ($1, $2, date_trunc('day', now(), 'UTC'), $3, $4, now())",
            tenant_id,
            meter,
            given,
            from_plan,
        )

    async def plan(self, state: str = "PUBLISHED", **features: int) -> str:
        """A plan of its own with these limits."""
        plan_id = f"plan_{uuid.uuid4().hex[:12]}"
        limits = ", ".join(f'"{feature}": {{"limit": {limit}}}' for feature, limit in features.items())
        await self.rows(
            "insert into tenant.plan_versions (plan_id, version, state, display_name, features, all_features, rates, "
            "billing_period, create_time, revision, listed) "
            "values ($1, 1, $2, 'Plan', $3, false, '{}', 'MONTH', now(), 1, false)",
            plan_id,
            state,
            f"{{{limits}}}",
        )
        return plan_id


async def blocked_or_done(world: World, task: asyncio.Task[Any]) -> None:
    """Returns when somebody waits for a lock in this database, or when the task has ended."""

    async def holds() -> bool:
        query = (
            "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' "
            "and usename = 'tenant_app'"
        )
        return task.done() or bool(await world.rows(query))

    await eventually(holds)


async def patient(attempt: Callable[[], Awaitable[_Made]]) -> _Made:
    """Asks again when the lock was not to be had in time, as a caller does."""
    while True:
        with suppress(Unavailable):
            return await attempt()
