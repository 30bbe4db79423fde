"""Many at once: one migration is under way, one effect is left, and a cancel is before it or after it."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import FailedPrecondition, MeshError, Unavailable
from tenantmesh.runtime import locks
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements.entitlement import TenantEntitlements
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tests.integration.tenant_svc.world import ACTOR, World, blocked_or_done, patient, request

ROUNDS = 25


async def test_of_ten_that_start_at_once_one_is_under_way(world: World) -> None:
    tenant = await world.tenant()
    plans = ["basic", "enterprise"] * 5
    outcomes = await asyncio.gather(
        *(world.plan_changes.start(tenant.id, request(plan, key=uuid.uuid4())) for plan in plans),
        return_exceptions=True,
    )
    started = [each for each in outcomes if isinstance(each, Operation)]
    refused = [each for each in outcomes if isinstance(each, MeshError)]
    assert (len(started), len(refused)) == (1, 9), outcomes
    for error in refused:
        assert isinstance(error, FailedPrecondition)
        assert (error.reason, error.metadata) == ("MIGRATION_UNDER_WAY", {"operation": started[0].name})
    assert len(await world.rows("select from tenant.operations where tenant_id = $1", tenant.id)) == 1
    pattern = f"tenants/{tenant.id}/%"
    assert len(await world.rows("select from jobs.pgqueuer where convert_from(payload, 'UTF8') like $1", pattern)) == 1


async def test_of_ten_with_one_request_id_all_get_the_same(world: World) -> None:
    tenant, key = await world.tenant(), uuid.uuid4()
    started = await asyncio.gather(*(world.plan_changes.start(tenant.id, request(key=key)) for _ in range(10)))
    assert len({each.id for each in started}) == 1
    assert len(await world.jobs(started[0])) == 1


async def test_five_workers_on_one_operation_leave_one_effect(world: World, executor: PlanChangeExecutor) -> None:
    operation = await world.started()
    ended = await asyncio.gather(*(executor.run(operation.owner, operation.id) for _ in range(5)))
    assert {each.state for each in ended if each} == {OperationState.SUCCEEDED}
    assert await world.effects(operation.owner) == [("premium@1", "enterprise@1")]
    assert await world.updates(operation.owner) == ["enterprise@1"]


async def test_a_cancel_is_before_the_effect_or_after_it(
    world: World, executor: PlanChangeExecutor, operations: Operations
) -> None:
    seen = set()
    for round_ in range(ROUNDS):
        operation = await world.started()
        first, second = (
            executor.run(operation.owner, operation.id),
            operations.cancel(operation.tenant_id, str(operation.id), ACTOR),
        )
        pair = (first, second) if round_ % 2 else (second, first)
        await asyncio.gather(*pair)
        after = await operations.get(operation.tenant_id, str(operation.id))
        effects = await world.effects(operation.owner)
        plan = (await world.tenants.get(operation.owner)).plan_id
        told = (after.state, len(effects), plan)
        assert told in {(OperationState.SUCCEEDED, 1, "enterprise"), (OperationState.CANCELLED, 0, "premium")}, told
        seen.add(after.state)
    assert OperationState.CANCELLED in seen


async def test_a_cancel_between_the_steps_wins(
    world: World, executor: PlanChangeExecutor, operations: Operations
) -> None:
    for done in ((), (executor.begin,), (executor.begin, executor.check)):
        operation = await world.started()
        for step in done:
            await step(operation.owner, operation.id)
        cancelled = await operations.cancel(operation.tenant_id, str(operation.id), ACTOR)
        assert cancelled.error is not None
        assert (cancelled.error.code, cancelled.error.reason) == ("CANCELLED", "OPERATION_CANCELLED")
        assert cancelled.cancelled_by == ACTOR
        assert await executor.run(operation.owner, operation.id) == cancelled
        assert await world.effects(operation.owner) == []
        assert await operations.cancel(operation.tenant_id, str(operation.id), "another") == cancelled
        again = await world.plan_changes.start(operation.owner, request())
        assert again.id != operation.id


async def test_what_has_ended_is_not_cancelled(
    world: World, executor: PlanChangeExecutor, operations: Operations
) -> None:
    operation = await world.started()
    after = await executor.run(operation.owner, operation.id)
    assert await operations.cancel(operation.tenant_id, str(operation.id), ACTOR) == after


class HeldExecutor(PlanChangeExecutor):
    """Stays in the last transaction, where everything is read and nothing written, until it is let go."""

    def __init__(self, doors: Doors) -> None:
        super().__init__(doors)
        self.held = asyncio.Event()
        self.go = asyncio.Event()

    async def change(self, connection: Connection, operation: Operation, before: TenantEntitlements) -> Operation:
        self.held.set()
        await self.go.wait()
        return await super().change(connection, operation, before)


async def test_a_cancel_waits_for_an_effect_that_is_about_to_be_and_then_is_too_late(
    world: World, operations: Operations
) -> None:
    executor, operation = HeldExecutor(world.doors), await world.started()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        running = group.create_task(executor.run(operation.owner, operation.id))
        await executor.held.wait()
        cancelling = group.create_task(
            patient(lambda: operations.cancel(operation.tenant_id, str(operation.id), ACTOR))
        )
        await blocked_or_done(world, cancelling)
        executor.go.set()
    assert running.result() == cancelling.result()
    assert cancelling.result().state is OperationState.SUCCEEDED
    assert await world.effects(operation.owner) == [("premium@1", "enterprise@1")]


async def test_who_waits_for_the_tenant_does_not_hold_up_the_log(world: World, executor: PlanChangeExecutor) -> None:
    """As suspending does: the tenant's row, then the log's lock. In two orders they would wait for each other."""
    operation = await world.started()
    async with world.superuser() as connection, connection.transaction():
        await connection.fetch("select from tenant.tenants where tenant_id = $1 for no key update", operation.tenant_id)
        applying = asyncio.create_task(executor.apply(operation.owner, operation.id))
        await blocked_or_done(world, applying)
        assert await connection.fetchval("select pg_try_advisory_xact_lock($1)", locks.EVENT_LOG)
    with suppress(Unavailable):  # it may have waited for too long
        await applying
    assert (await executor.run(operation.owner, operation.id) or operation).state is OperationState.SUCCEEDED
    assert len(await world.effects(operation.owner)) == 1


async def test_a_change_under_way_does_not_hold_up_what_only_points_to_the_tenant(world: World) -> None:
    executor, operation = HeldExecutor(world.doors), await world.started()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(executor.run(operation.owner, operation.id))
        await executor.held.wait()
        await world.rows(
            "insert into tenant.overrides (tenant_id, feature_id, value, reason, create_time) "
            """values ($1, 'users', '{"limit": 5}', 'beside', now())""",
            operation.tenant_id,
        )
        executor.go.set()


async def test_plans_change_beside_suspensions(world: World, executor: PlanChangeExecutor) -> None:
    """Both take the tenant's row and the log's lock; in two orders they would wait for each other."""
    for _ in range(ROUNDS):
        operation = await world.started()
        await asyncio.gather(
            executor.run(operation.owner, operation.id), world.tenants.suspend(operation.owner, "unpaid", "")
        )
        tenant = await world.tenants.get(operation.owner)
        assert (tenant.plan_id, tenant.state.value, tenant.version) == ("enterprise", "SUSPENDED", 3)
