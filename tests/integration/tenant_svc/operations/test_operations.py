"""Operations are found, listed and awaited by the tenant that they belong to, and by nobody else."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import InvalidArgument, NotFound
from tenantmesh.runtime.database import Database
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.operations.repository import OPERATIONS_CHANNEL
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import eventually
from tests.integration.tenant_svc.world import ACTOR, World, request

NEVER = timedelta(hours=1)


async def test_an_operation_is_its_tenants_alone(world: World, operations: Operations) -> None:
    operation, other = await world.started(), await world.tenant()
    assert await operations.get(operation.tenant_id, str(operation.id)) == operation
    for wrong in (str(operation.id), str(uuid.uuid4()), "no-uuid", ""):
        for asked in (operations.get(other.id, wrong), operations.cancel(other.id, wrong, ACTOR)):
            with pytest.raises(NotFound) as caught:
                await asked
            assert caught.value.reason == "OPERATION_NOT_FOUND"
    with pytest.raises(NotFound):
        await operations.wait(other.id, str(operation.id), 0)
    assert (await operations.page(other.id, 0, "")).items == []


async def test_pages_go_from_the_newest_to_the_oldest(
    world: World, executor: PlanChangeExecutor, operations: Operations
) -> None:
    tenant = await world.tenant()
    made: list[Operation] = []
    for plan in ("basic", "premium", "enterprise", "basic", "custom"):
        operation = await world.plan_changes.start(tenant.id, request(plan))
        await executor.run(tenant.id, operation.id)
        made.insert(0, operation)
    found: list[Operation] = []
    token = ""
    for size in (2, 2, 2):
        page = await operations.page(tenant.id, size, token)
        found, token = found + page.items, page.next_token
    assert token == ""
    assert [each.id for each in found] == [each.id for each in made]


async def test_page_tokens_of_something_else_are_refused(world: World, operations: Operations) -> None:
    tenant = await world.tenant()
    for size, token in ((-1, ""), (0, "x"), (0, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")):
        with pytest.raises(InvalidArgument):
            await operations.page(tenant.id, size, token)


async def test_a_wait_ends_with_the_operation_at_the_databases_word(
    world: World, executor: PlanChangeExecutor, doors: Doors, database: Database
) -> None:
    endings = Endings()
    heard = asyncio.Event()

    def wake(payload: str) -> None:
        endings.wake(payload)
        heard.set()  # at first when it listens

    operations = Operations(doors, endings, poll_interval=NEVER)
    operation = await world.started()
    async with database.listen(OPERATIONS_CHANNEL, wake), asyncio.timeout(60), asyncio.TaskGroup() as group:
        await heard.wait()
        waiting = [group.create_task(operations.wait(operation.tenant_id, str(operation.id), 50)) for _ in range(3)]
        await asyncio.sleep(0)
        await executor.run(operation.owner, operation.id)
    assert all(each.result().done for each in waiting)
    assert endings._awaited == {}


async def test_a_wait_finds_out_by_itself_when_no_word_comes(
    world: World, executor: PlanChangeExecutor, doors: Doors
) -> None:
    operations = Operations(doors, Endings(), poll_interval=timedelta(milliseconds=20))
    operation = await world.started()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(operations.wait(operation.tenant_id, str(operation.id), 50))
        await executor.run(operation.owner, operation.id)
    assert waiting.result().done


async def test_a_wait_that_is_over_gives_the_operation_as_it_is(world: World, operations: Operations) -> None:
    operation = await world.started()
    for seconds in (-1.0, 0.0, 0.05):
        assert await operations.wait(operation.tenant_id, str(operation.id), seconds) == operation


async def test_a_cancel_ends_a_wait(world: World, doors: Doors, database: Database) -> None:
    endings = Endings()
    operations = Operations(doors, endings, poll_interval=NEVER)
    operation = await world.started()
    async with database.listen(OPERATIONS_CHANNEL, endings.wake), asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = group.create_task(operations.wait(operation.tenant_id, str(operation.id), 50))

        async def waits() -> bool:
            return bool(endings._awaited)

        await eventually(waits)
        await operations.cancel(operation.tenant_id, str(operation.id), ACTOR)
    assert waiting.result().done


async def as_app(database: WorkerDatabase, tenant_id: uuid.UUID, statement: str, *arguments: object) -> str:
    connection = await asyncpg.connect(database.url("tenant_app").get_secret_value())
    try:
        async with connection.transaction():
            await connection.execute(f"set local app.tenant_id = '{tenant_id}'")
            return str(await connection.execute(statement, *arguments))
    finally:
        await connection.close()


_INSERT = "insert into jobs.pgqueuer (priority, entrypoint, payload, status) values (0, 'migrate_tenant_plan', $1, {})"


async def test_a_tenants_transaction_may_only_put_jobs_about_that_tenant_into_the_queue(world: World) -> None:
    operation, other = await world.started(), await world.tenant()
    queued = _INSERT.format("'queued'")
    assert await as_app(world.database, operation.owner, queued, operation.name.encode()) == "INSERT 0 1"
    for tenant_id, statement, payload in (
        (other.id, queued, operation.name.encode()),
        (operation.owner, queued, operation.name.encode().ljust(513, b"x")),
        (operation.owner, queued, None),
        (operation.owner, _INSERT.format("'picked'"), operation.name.encode()),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await as_app(world.database, tenant_id, statement, payload)


@pytest.mark.parametrize(
    "statement",
    [
        "select from jobs.pgqueuer",
        "select from jobs.pgqueuer_log",
        "delete from jobs.pgqueuer",
        "update jobs.pgqueuer set status = 'failed'",
        "insert into jobs.pgqueuer (priority, entrypoint, status, headers) values (0, 'x', 'queued', '{}')",
        "insert into jobs.pgqueuer_log (job_id, status, priority, entrypoint) values (1, 'queued', 0, 'x')",
    ],
)
async def test_and_may_do_nothing_else_there(world: World, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await as_app(world.database, uuid.uuid4(), statement)


async def test_jobs_and_notifications_carry_ids_and_nothing_else(world: World, executor: PlanChangeExecutor) -> None:
    heard: list[tuple[str, str]] = []
    async with world.superuser() as connection:
        for channel in (OPERATIONS_CHANNEL, "ch_pgqueuer", "tenant_events", "entitlement_events"):
            await connection.add_listener(channel, lambda _c, _p, channel, payload: heard.append((channel, payload)))
        operation = await world.started()
        await executor.run(operation.owner, operation.id)

        async def all_told() -> bool:
            return {channel for channel, _ in heard} == {
                OPERATIONS_CHANNEL, "ch_pgqueuer", "tenant_events", "entitlement_events"
            }  # fmt: skip

        await eventually(all_told)
    told = dict(heard)
    assert told[OPERATIONS_CHANNEL] == str(operation.id)
    assert (told["tenant_events"], told["entitlement_events"]) == ("", "")
    assert str(operation.tenant_id) not in told["ch_pgqueuer"]
    (job,) = await world.jobs(operation)
    assert (job["payload"].decode(), job["headers"], job["dedupe_key"]) == (operation.name, None, None)
