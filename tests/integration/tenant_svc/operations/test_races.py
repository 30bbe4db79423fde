"""Many at once: one migration is under way, one effect is left, and a cancel is before it or after it."""

from __future__ import annotations

import asyncio
import uuid

from interceptors.errors import FailedPrecondition, MeshError
from tenant_svc.operations.operation import Operation, OperationState
from tenant_svc.operations.operations import Operations
from tenant_svc.operations.steps import MigrationSteps
from tests.integration.tenant_svc.operations.world import World, request

ROUNDS = 25


async def test_of_ten_that_start_at_once_one_is_under_way(world: World) -> None:
    tenant = await world.tenant()
    plans = ["basic", "enterprise"] * 5
    outcomes = await asyncio.gather(
        *(world.migrations.start(tenant.id, request(plan, key=uuid.uuid4())) for plan in plans), return_exceptions=True
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
    started = await asyncio.gather(*(world.migrations.start(tenant.id, request(key=key)) for _ in range(10)))
    assert len({each.id for each in started}) == 1
    assert len(await world.jobs(started[0])) == 1


async def test_five_workers_on_one_operation_leave_one_effect(world: World, steps: MigrationSteps) -> None:
    operation = await world.started()
    ended = await asyncio.gather(*(steps.run(operation.tenant_id, operation.id) for _ in range(5)))
    assert {each.state for each in ended if each} == {OperationState.SUCCEEDED}
    assert await world.effects(operation.tenant_id) == [("premium@1", "enterprise@1")]
    assert await world.updates(operation.tenant_id) == ["enterprise@1"]


async def test_a_cancel_is_before_the_effect_or_after_it(
    world: World, steps: MigrationSteps, operations: Operations
) -> None:
    seen = set()
    for round_ in range(ROUNDS):
        operation = await world.started()
        first, second = (
            steps.run(operation.tenant_id, operation.id),
            operations.cancel(operation.tenant_id, str(operation.id)),
        )
        pair = (first, second) if round_ % 2 else (second, first)
        await asyncio.gather(*pair)
        after = await operations.get(operation.tenant_id, str(operation.id))
        effects = await world.effects(operation.tenant_id)
        plan = (await world.tenants.get(operation.tenant_id)).plan_id
        told = (after.state, len(effects), plan)
        assert told in {(OperationState.SUCCEEDED, 1, "enterprise"), (OperationState.CANCELLED, 0, "premium")}, told
        seen.add(after.state)
    assert OperationState.CANCELLED in seen


async def test_a_cancel_between_the_steps_wins(world: World, steps: MigrationSteps, operations: Operations) -> None:
    for done in ((), (steps.begin,), (steps.begin, steps.check)):
        operation = await world.started()
        for step in done:
            await step(operation.tenant_id, operation.id)
        cancelled = await operations.cancel(operation.tenant_id, str(operation.id))
        assert cancelled.error is not None
        assert (cancelled.error.code, cancelled.error.reason) == ("CANCELLED", "OPERATION_CANCELLED")
        assert await steps.run(operation.tenant_id, operation.id) == cancelled
        assert await world.effects(operation.tenant_id) == []
        assert await operations.cancel(operation.tenant_id, str(operation.id)) == cancelled
        again = await world.migrations.start(operation.tenant_id, request())
        assert again.id != operation.id


async def test_what_has_ended_is_not_cancelled(world: World, steps: MigrationSteps, operations: Operations) -> None:
    operation = await world.started()
    after = await steps.run(operation.tenant_id, operation.id)
    assert await operations.cancel(operation.tenant_id, str(operation.id)) == after


async def test_plans_change_beside_suspensions(world: World, steps: MigrationSteps) -> None:
    """Both take the tenant's row and the log's lock; in two orders they would wait for each other."""
    for _ in range(ROUNDS):
        operation = await world.started()
        await asyncio.gather(
            steps.run(operation.tenant_id, operation.id), world.tenants.suspend(operation.tenant_id, "unpaid", "")
        )
        tenant = await world.tenants.get(operation.tenant_id)
        assert (tenant.plan_id, tenant.state.value, tenant.version) == ("enterprise", "SUSPENDED", 3)
