"""READ_ONLY is about what a move has put over its limits, until nothing is over. What goes over later is not."""

from __future__ import annotations

import asyncio
import uuid

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime import locks
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.gauges.gauge import Adjustment, Report
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.operations.operation import OperationState
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.overrides.rules import OverrideDraft
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tests.integration.tenant_svc.stage import eventually
from tests.integration.tenant_svc.world import ACTOR, World, patient, request


async def moved(world: World, executor: PlanChangeExecutor, **levels: int) -> TenantId:
    """A tenant with these levels that was put under READ_ONLY on a plan of 100 users and 10 bytes."""
    tenant = await world.tenant()
    for gauge, level in levels.items():
        await world.level(tenant.id, gauge, level)
    plan = await world.plan(users=100, storage_bytes=10)
    await move(world, executor, tenant.id, plan)
    return tenant.id


async def move(world: World, executor: PlanChangeExecutor, tenant_id: TenantId, plan: str) -> None:
    operation = await world.plan_changes.start(tenant_id, request(plan, policy=OverLimitPolicy.READ_ONLY))
    after = await executor.run(tenant_id, operation.id)
    assert after is not None
    assert after.state is OperationState.SUCCEEDED


async def limit(world: World, tenant_id: TenantId, users: int) -> None:
    draft = OverrideDraft("users", "", FeatureValue.of_limit(users), "another limit", None)
    await Overrides(world.doors).set(tenant_id, draft, ACTOR)


async def lower(world: World, tenant_id: TenantId, gauge: str, by: int) -> None:
    key = uuid.uuid4().hex
    await patient(lambda: Gauges(world.doors).adjust(tenant_id, Adjustment(gauge, -by, key, "auth_svc"), ACTOR))


async def standing(world: World, tenant_id: TenantId) -> tuple[bool, bool]:
    """Whether something is over its limit, and whether the tenant is read-only."""
    found = await world.entitlements(tenant_id)
    return bool(found.over_limit), found.read_only


async def test_a_move_that_puts_nothing_over_leaves_nothing_behind(world: World, executor: PlanChangeExecutor) -> None:
    tenant_id = await moved(world, executor, users=5)
    await limit(world, tenant_id, 3)
    assert await standing(world, tenant_id) == (True, False)


async def test_it_ends_when_the_level_has_fallen(world: World, executor: PlanChangeExecutor) -> None:
    tenant_id = await moved(world, executor, users=102)
    await lower(world, tenant_id, "users", 1)
    assert await standing(world, tenant_id) == (True, True)
    await lower(world, tenant_id, "users", 1)
    assert await standing(world, tenant_id) == (False, False)
    await limit(world, tenant_id, 50)
    assert await standing(world, tenant_id) == (True, False)


async def test_it_lasts_while_anything_is_over(world: World, executor: PlanChangeExecutor) -> None:
    tenant_id = await moved(world, executor, users=101, storage_bytes=11)
    await lower(world, tenant_id, "users", 1)
    assert await standing(world, tenant_id) == (True, True)
    await limit(world, tenant_id, 50)
    await lower(world, tenant_id, "storage_bytes", 1)
    assert await standing(world, tenant_id) == (True, True)  # something was over all the time


async def test_of_two_levels_that_fall_at_once_one_ends_it(world: World, executor: PlanChangeExecutor) -> None:
    tenant_id = await moved(world, executor, users=101, storage_bytes=11)

    async def both_wait() -> bool:
        query = "select from pg_stat_activity where wait_event = 'advisory' and datname = current_database()"
        return len(await world.rows(query)) == 2

    async with asyncio.TaskGroup() as group, world.superuser() as connection, connection.transaction():
        await connection.fetch("select pg_advisory_xact_lock($1)", locks.EVENT_LOG)
        for gauge in ("users", "storage_bytes"):
            group.create_task(lower(world, tenant_id, gauge, 1))
        await eventually(both_wait)
    assert await world.rows("select from tenant.plan_terms where tenant_id = $1", tenant_id) == []


async def test_it_ends_with_an_override_that_allows_what_is_there(world: World, executor: PlanChangeExecutor) -> None:
    tenant_id = await moved(world, executor, users=101)
    await limit(world, tenant_id, 101)
    await Overrides(world.doors).clear(tenant_id, "users", "", ACTOR)
    assert await standing(world, tenant_id) == (True, False)


async def test_it_ends_with_an_override_that_is_cleared(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 5)
    await limit(world, tenant.id, 3)
    await move(world, executor, tenant.id, await world.plan(users=10))
    assert await standing(world, tenant.id) == (True, True)
    await Overrides(world.doors).clear(tenant.id, "users", "", ACTOR)
    await limit(world, tenant.id, 4)
    assert await standing(world, tenant.id) == (True, False)


async def test_it_has_ended_with_an_override_that_expired(world: World, executor: PlanChangeExecutor) -> None:
    """Nobody does anything at that moment: whoever puts something over next finds that nothing was."""
    for later in (limited, reported):
        tenant = await world.tenant()
        await world.level(tenant.id, "users", 5)
        await limit(world, tenant.id, 3)
        await move(world, executor, tenant.id, await world.plan(users=10))
        await world.rows("update tenant.overrides set expire_time = now() where tenant_id = $1", tenant.id)
        assert await standing(world, tenant.id) == (False, False)
        await later(world, tenant.id)
        assert await standing(world, tenant.id) == (True, False)


async def limited(world: World, tenant_id: TenantId) -> None:
    await limit(world, tenant_id, 4)


async def reported(world: World, tenant_id: TenantId) -> None:
    await Gauges(world.doors).report(tenant_id, Report("users", 11, 1, "auth_svc"), ACTOR)
