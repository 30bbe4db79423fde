"""The worker and its queue inside this process: failures, lost connections, and what the worker's role may do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import repeat
from typing import Any

import asyncpg
import pytest
from pgqueuer import AsyncpgDriver, Queries
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment

from tenantmesh.chassis.capability import Capability
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.queue import SETTINGS
from tenantmesh.chassis.jobs.settings import JobSettings
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.settings import DatabaseSettings, TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant_svc.allowances.wiring import pooled_units
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.plan_changes.jobs import PlanChangeJobs
from tenantmesh.tenant_svc.plan_changes.plan_changes import PLAN_CHANGE_JOB
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.settings import TenantWorkerSettings
from tenantmesh.tenant_svc.worker.app import WorkerApp
from tests.integration.tenant_svc.stage import eventually
from tests.integration.tenant_svc.world import World

FAST = {"lease": "2s", "poll_interval": "100ms", "longest_pause": "50ms"}


@asynccontextmanager
async def working(
    world: World,
    make_executor: Callable[[Doors, Pooled | None], PlanChangeExecutor] = PlanChangeExecutor,
    *,
    break_off: bool = False,
    **more: object,
) -> AsyncIterator[WorkerApp]:
    """A worker that is stopped at the end, or broken off."""
    database = world.database
    settings = TenantWorkerSettings(
        database=DatabaseSettings(url=database.url("tenant_app")),
        worker=JobSettings.model_validate({"queue_url": database.url("tenant_worker"), **FAST, **more}),
    )

    def capabilities(resources: TenantResources) -> list[Capability]:
        handler = PlanChangeJobs(make_executor(resources.doors, pooled_units(resources)))
        return [Capability(name="plan_changes", jobs={PLAN_CHANGE_JOB: handler})]

    app = WorkerApp(settings, Telemetry(TelemetrySettings(), "test"), capabilities)
    await app.start()
    try:
        yield app
        if not break_off:
            app.queue.stop()
            async with asyncio.timeout(30):
                await app.queue.finished()
    finally:
        await app.close()


AWAY = Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "away")


class FailingExecutor(PlanChangeExecutor):
    """Fails for one operation, with these errors one after the other."""

    def __init__(self, doors: Doors, operation: Operation, errors: Iterable[Exception]) -> None:
        super().__init__(doors)
        self._operation = operation
        self._errors = iter(errors)

    async def run(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        if operation_id == self._operation.id and (error := next(self._errors, None)):
            raise error
        return await super().run(tenant_id, operation_id)


class HeldExecutor(PlanChangeExecutor):
    """Holds one operation until it is let go."""

    def __init__(self, doors: Doors, operation: Operation) -> None:
        super().__init__(doors)
        self._operation = operation
        self.held = asyncio.Event()
        self.go = asyncio.Event()

    async def run(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
        if operation_id == self._operation.id:
            self.held.set()
            await self.go.wait()
        return await super().run(tenant_id, operation_id)


async def ended(operations: Operations, operation: Operation) -> Operation:
    after = await operations.wait(operation.tenant_id, str(operation.id), 50)
    assert after.done
    return after


def gone(world: World, operation: Operation) -> Callable[[], Any]:
    async def holds() -> bool:
        return not await world.jobs(operation)

    return holds


async def test_jobs_are_done_as_they_come(world: World, operations: Operations) -> None:
    async with working(world) as app:
        made = [await world.started() for _ in range(20)]
        after = [await ended(operations, each) for each in made]
        for each in made:
            await eventually(gone(world, each))
        assert app.queue.outcomes["migrate_tenant_plan", "done"] >= 20
    assert {each.state for each in after} == {OperationState.SUCCEEDED}
    for each in made:
        assert len(await world.effects(each.owner)) == 1


@pytest.mark.parametrize("error", [AWAY, ZeroDivisionError()])
async def test_what_fails_is_tried_again(world: World, operations: Operations, error: Exception) -> None:
    operation = await world.started()
    async with working(world, lambda doors, _: FailingExecutor(doors, operation, [error] * 3)):
        assert (await ended(operations, operation)).state is OperationState.SUCCEEDED
    assert len(await world.effects(operation.owner)) == 1


async def test_what_fails_too_often_is_given_up_and_says_so(world: World, operations: Operations) -> None:
    operation = await world.started()
    secret = ZeroDivisionError("a secret")
    async with working(world, lambda doors, _: FailingExecutor(doors, operation, repeat(secret)), attempts=3) as app:
        after = await ended(operations, operation)
        await eventually(gone(world, operation))
        assert app.queue.outcomes["migrate_tenant_plan", "given up"] == 1
    assert after.state is OperationState.FAILED
    assert after.error is not None
    assert (after.error.code, after.error.reason) == ("INTERNAL", "INTERNAL")
    noted = await world.rows("select traceback::text from jobs.pgqueuer_log where traceback is not null")
    assert noted
    assert not any("secret" in row["traceback"] for row in noted)


async def test_an_outage_is_never_given_up(world: World, operations: Operations) -> None:
    operation = await world.started()
    async with working(world, lambda doors, _: FailingExecutor(doors, operation, [AWAY] * 8), attempts=2):
        assert (await ended(operations, operation)).state is OperationState.SUCCEEDED


async def test_an_outage_uses_up_no_attempts(world: World, operations: Operations) -> None:
    operation = await world.started()
    errors = [*[AWAY] * 8, ZeroDivisionError()]
    async with working(world, lambda doors, _: FailingExecutor(doors, operation, errors), attempts=2):
        assert (await ended(operations, operation)).state is OperationState.SUCCEEDED


async def test_an_outage_gives_no_attempts_back(world: World, operations: Operations) -> None:
    """Nor does another worker: what was failed is noted with the job."""
    operation = await world.started()

    async def failed_once() -> bool:
        return any(job["headers"] for job in await world.jobs(operation))

    errors = [ZeroDivisionError(), *repeat(AWAY, 1000)]
    async with working(world, lambda doors, _: FailingExecutor(doors, operation, errors), attempts=2):
        await eventually(failed_once)
    errors = [AWAY, ZeroDivisionError()]
    async with working(world, lambda doors, _: FailingExecutor(doors, operation, errors), attempts=2):
        assert (await ended(operations, operation)).state is OperationState.FAILED


async def test_a_lost_connection_is_opened_again(world: World, operations: Operations) -> None:
    async with working(world):
        await ended(operations, await world.started())
        ours = "usename ~ '^tenant_w' and datname = current_database()"
        for _ in range(3):
            cut = await world.rows(f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")
            assert cut
            assert (await ended(operations, await world.started())).state is OperationState.SUCCEEDED


async def has_asked(world: World) -> None:
    """Waits until the worker's question for jobs is answered: a job makes it ask for the next one at once."""
    asking = """
        select count(*) from pg_stat_activity where usename ~ '^tenant_w' and datname = current_database()
        and (state <> 'idle' or clock_timestamp() - state_change < interval '0.3 seconds')
    """
    async with asyncio.timeout(30):
        while (await world.rows(asking))[0]["count"]:  # only the database knows
            await asyncio.sleep(0.05)


async def test_what_is_under_way_is_finished_before_it_stops(world: World, operations: Operations) -> None:
    operation = await world.started()
    executors: list[HeldExecutor] = []

    def make(doors: Doors, _pooled: Pooled | None) -> PlanChangeExecutor:
        executors.append(HeldExecutor(doors, operation))
        return executors[0]

    async with working(world, make) as app:
        async with asyncio.timeout(30):
            await executors[0].held.wait()
        app.queue.stop()
        await has_asked(world)
        later = await world.started()
        executors[0].go.set()
        assert (await ended(operations, operation)).state is OperationState.SUCCEEDED
    assert await world.jobs(operation) == []
    assert [job["status"] for job in await world.jobs(later)] == ["queued"]


async def test_a_job_that_is_broken_off_stays_in_the_queue(world: World, operations: Operations) -> None:
    operation = await world.started()
    executors: list[HeldExecutor] = []

    def make(doors: Doors, _pooled: Pooled | None) -> PlanChangeExecutor:
        executors.append(HeldExecutor(doors, operation))
        return executors[0]

    async with working(world, make, break_off=True):
        async with asyncio.timeout(30):
            await executors[0].held.wait()
    assert [job["status"] for job in await world.jobs(operation)] in (["queued"], ["picked"])
    async with working(world):
        assert (await ended(operations, operation)).state is OperationState.SUCCEEDED
    assert len(await world.effects(operation.owner)) == 1


async def test_a_job_that_says_nothing_is_dropped(world: World) -> None:
    for payload in (b"nonsense", b"tenants/x/operations/y", None):
        await world.rows(
            "insert into jobs.pgqueuer (priority, entrypoint, payload, status) "
            "values (0, 'migrate_tenant_plan', $1, 'queued')",
            payload,
        )
    missing = f"tenants/{uuid.uuid4()}/operations/{uuid.uuid4()}".encode()
    await world.rows(
        "insert into jobs.pgqueuer (priority, entrypoint, payload, status) "
        "values (0, 'migrate_tenant_plan', $1, 'queued')",
        missing,
    )

    async def empty() -> bool:
        return not await world.rows(
            "select from jobs.pgqueuer where payload is null or payload = any($1)",
            [b"nonsense", b"tenants/x/operations/y", missing],
        )

    async with working(world):
        await eventually(empty)


async def test_old_notes_of_jobs_are_deleted(world: World) -> None:
    for age in ("31 days", "29 days"):
        await world.rows(
            "insert into jobs.pgqueuer_log (job_id, status, priority, entrypoint, created) "
            "values (-7, 'successful', 0, 'x', now() - $1::text::interval)",
            age,
        )

    async def one_left() -> bool:
        return len(await world.rows("select from jobs.pgqueuer_log where job_id = -7")) == 1

    async with working(world):
        await eventually(one_left)


async def test_the_schema_is_the_librarys(world: World) -> None:
    async with world.superuser() as connection:
        queries = Queries(AsyncpgDriver(connection), qbe=QueryBuilderEnvironment(SETTINGS))
        plan = await queries.plan_upgrade()
    assert list(plan.statements) == [], "pgqueuer wants another schema: add a migration"


@pytest.mark.parametrize(
    "statement",
    [
        "insert into jobs.pgqueuer (priority, entrypoint, status) values (0, 'x', 'queued')",
        "truncate jobs.pgqueuer",
        "update jobs.pgqueuer_log set traceback = null",
        "select from tenant.tenants",
        "select from tenant.operations",
        "create table jobs.mine (id int)",
    ],
)
async def test_the_workers_role_works_the_queue_and_nothing_else(world: World, statement: str) -> None:
    connection = await asyncpg.connect(world.database.url("tenant_worker").get_secret_value())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
