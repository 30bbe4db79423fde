"""A level changes while its limit does: one after the other, whichever comes first."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements import repository as entitlements
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.gauges import gauges
from tenantmesh.tenant_svc.gauges.gauge import Adjustment, Gauge, Report
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.overrides.rules import OverrideDraft
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.plan_changes.plan_change import PlanChange
from tests.integration.tenant_svc.world import ACTOR, World, blocked_or_done, patient, request

_Made = TypeVar("_Made")
Change = Callable[[Gauges, TenantId, int], Awaitable[Gauge]]


async def raised_by(levels: Gauges, tenant_id: TenantId, delta: int) -> Gauge:
    return await levels.adjust(tenant_id, Adjustment("users", delta, uuid.uuid4().hex, "auth_svc"), ACTOR)


async def reported_as(levels: Gauges, tenant_id: TenantId, level: int) -> Gauge:
    return await levels.report(tenant_id, Report("users", level, 1, "auth_svc"), ACTOR)


class Meanwhile:
    """Stops changes of levels where they have read the limit and written nothing."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self._world = world
        self._held, self._go = asyncio.Event(), asyncio.Event()
        read = gauges._entitlements

        async def held(connection: Connection, tenant_id: TenantId, gauge: str) -> TenantEntitlements:
            found = await read(connection, tenant_id, gauge)
            self._held.set()
            await self._go.wait()
            return found

        monkeypatch.setattr(gauges, "_entitlements", held)

    async def __call__(self, level: Awaitable[Gauge], attempt: Callable[[], Awaitable[_Made]]) -> _Made:
        """What comes of the attempt, made while the level is about to change; it has changed then."""
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            changing = group.create_task(_waited(level))
            await self._held.wait()
            attempting = group.create_task(patient(attempt))
            await blocked_or_done(self._world, attempting)
            self._go.set()
            await changing
        return attempting.result()


async def _waited(level: Awaitable[Gauge]) -> Gauge:
    return await level


@pytest.fixture
async def meanwhile(world: World, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    # The first report of all makes its reporter the owner of the gauge, and begins anew.
    await reported_as(Gauges(world.doors), (await world.tenant()).id, 0)
    return Meanwhile(world, monkeypatch)


async def ran(executor: PlanChangeExecutor, operation: Operation) -> Operation:
    after = await executor.run(operation.owner, operation.id)
    assert after is not None
    return after


@pytest.mark.parametrize(("change", "to"), [(raised_by, 900), (reported_as, 900)])
async def test_a_level_that_is_rising_rejects_a_smaller_plan(
    world: World, executor: PlanChangeExecutor, meanwhile: Meanwhile, change: Change, to: int
) -> None:
    tenant = await world.tenant()
    operation = await world.plan_changes.start(tenant.id, request(await world.plan(users=10)))
    after = await meanwhile(change(Gauges(world.doors), tenant.id, to), lambda: ran(executor, operation))
    assert (after.state, [each.used for each in PlanChange.of(after).over_limits]) == (OperationState.FAILED, [900])
    assert (await world.entitlements(tenant.id)).over_limit == ()


async def test_a_level_that_is_falling_leaves_a_smaller_plan_as_it_is_told(
    world: World, executor: PlanChangeExecutor, meanwhile: Meanwhile
) -> None:
    """Otherwise processes would go on refusing a tenant that nothing is told about any more."""
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 12)
    asked = request(await world.plan(users=10), policy=OverLimitPolicy.READ_ONLY)
    operation = await world.plan_changes.start(tenant.id, asked)
    after = await meanwhile(raised_by(Gauges(world.doors), tenant.id, -7), lambda: ran(executor, operation))
    assert (after.state, PlanChange.of(after).over_limits) == (OperationState.SUCCEEDED, ())
    assert not (await world.entitlements(tenant.id)).read_only
    assert await world.crossings(tenant.id) == []


async def test_no_level_rises_by_a_limit_that_an_override_has_lowered(world: World, meanwhile: Meanwhile) -> None:
    tenant = await world.tenant()
    lower = OverrideDraft("users", "", FeatureValue.of_limit(3), "lowered", None)
    seen: list[int] = []

    async def lowered() -> None:
        await Overrides(world.doors).set(tenant.id, lower, ACTOR)
        seen.append((await world.entitlements(tenant.id)).levels.get("users", 0))

    await meanwhile(raised_by(Gauges(world.doors), tenant.id, 900), lowered)
    assert seen == [900]  # it rose before: then it is the override that has put it over


async def test_who_waits_for_a_level_keeps_no_operator_waiting(world: World) -> None:
    """Those who share the tenant's row pass whoever wants it alone. If they waited for a level with it in their hands,
    a level that is always wanted would shut out suspending for ever."""
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 1)
    async with world.superuser() as connection:
        async with connection.transaction():
            await connection.fetch("select from tenant.gauges where tenant_id = $1 for update", tenant.id)
            raising = asyncio.create_task(patient(lambda: raised_by(Gauges(world.doors), tenant.id, 1)))
            await blocked_or_done(world, raising)
            async with asyncio.timeout(0.5), world.doors.tenant(tenant.id) as held:
                assert await entitlements.lock_tenant(held, tenant.id) is not None
        assert (await raising).level == 2


async def test_levels_of_one_tenant_change_side_by_side(world: World) -> None:
    tenant = await world.tenant()
    async with world.doors.tenant(tenant.id) as connection:
        await entitlements.lock_tenant_shared(connection, tenant.id)
        raising = asyncio.create_task(_waited(raised_by(Gauges(world.doors), tenant.id, 1)))
        async with asyncio.timeout(0.5):
            assert (await raising).level == 1
