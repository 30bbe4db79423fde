"""Workers as processes: killed at every step, paused, drained. Whatever happens to them, a plan changes once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import Operations
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.plan_changes.stopping import PLACES
from tests.integration.tenant_svc.world import ACTOR, World

PRODUCT = ("tenantmesh.tenant_svc.worker",)
STOPPING = "tests.integration.tenant_svc.plan_changes.stopping"
PATIENCE_SECONDS = 60
Process = asyncio.subprocess.Process


def environment(database: WorkerDatabase, **more: str) -> dict[str, str]:
    return {
        "TENANTMESH_DATABASE_URL": database.url("tenant_app").get_secret_value(),
        "TENANTMESH_WORKER_QUEUE_URL": database.url("tenant_worker").get_secret_value(),
        "TENANTMESH_WORKER_LEASE": "1s",
        "TENANTMESH_WORKER_POLL_INTERVAL": "100ms",
        "TENANTMESH_WORKER_LONGEST_PAUSE": "200ms",
        **more,
    }


@asynccontextmanager
async def started(variables: Mapping[str, str], *module: str) -> AsyncIterator[Process]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TENANTMESH_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module),
        env={**inherited, **variables},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(process: Process, text: str) -> str:
    """The line with the text, from what the process says."""
    assert process.stdout
    async with asyncio.timeout(PATIENCE_SECONDS):
        while line := await process.stdout.readline():
            if text.encode() in line:
                return line.decode()
    raise AssertionError(f"it ended without saying {text!r}")


async def ended(world: World, operations: Operations, operation: Operation) -> Operation:
    """The operation once it has ended and nothing of it is left in the queue."""
    after = await operations.wait(operation.tenant_id, str(operation.id), PATIENCE_SECONDS)
    for _ in range(PATIENCE_SECONDS * 20):
        if not await world.jobs(operation):
            return after
        await asyncio.sleep(0.05)
    raise AssertionError("the job is still in the queue")


async def check_one_effect(world: World, operation: Operation) -> None:
    assert await world.effects(operation.owner) == [("premium@1", "enterprise@1")]
    assert await world.updates(operation.owner) == ["enterprise@1"]
    tenant = await world.tenants.get(operation.owner)
    assert (tenant.plan_id, tenant.version) == ("enterprise", 2)


@pytest.mark.parametrize("place", PLACES)
async def test_killed_anywhere_the_next_worker_finishes_it_once(
    world: World, operations: Operations, place: str
) -> None:
    operation, variables = await world.started(), environment(world.database)
    async with started(variables, STOPPING, place, str(operation.id)) as first:
        await until(first, "stopped where")
        first.kill()
        await first.wait()
    assert len(await world.jobs(operation)) == 1
    assert len(await world.effects(operation.owner)) == (1 if place == "committed" else 0)
    async with started(variables, *PRODUCT):
        after = await ended(world, operations, operation)
    assert after.state is OperationState.SUCCEEDED
    await check_one_effect(world, operation)


async def test_killed_again_and_again_it_changes_the_plan_once(world: World, operations: Operations) -> None:
    operation, variables = await world.started(), environment(world.database)
    for place in PLACES:
        async with started(variables, STOPPING, place, str(operation.id)) as process:
            await until(process, "stopped where")
            process.kill()
            await process.wait()
    async with started(variables, *PRODUCT):
        assert (await ended(world, operations, operation)).state is OperationState.SUCCEEDED
    await check_one_effect(world, operation)


@pytest.mark.parametrize("place", ["taken", "begun", "checked"])
async def test_a_worker_that_wakes_up_late_changes_nothing(world: World, operations: Operations, place: str) -> None:
    operation, variables = await world.started(), environment(world.database)
    async with started(variables, STOPPING, place, str(operation.id)) as late:
        await until(late, "stopped where")
        late.send_signal(signal.SIGSTOP)
        async with started(variables, *PRODUCT):
            await ended(world, operations, operation)
        assert late.stdin
        late.stdin.write(b"go on\n")
        late.send_signal(signal.SIGCONT)
        await until(late, "a change of a plan has ended")
    await check_one_effect(world, operation)


async def test_cancelled_before_its_effect_a_job_that_goes_on_changes_nothing(
    world: World, operations: Operations
) -> None:
    operation, variables = await world.started(), environment(world.database)
    async with started(variables, STOPPING, "checked", str(operation.id)) as process:
        await until(process, "stopped where")
        cancelled = await operations.cancel(operation.tenant_id, str(operation.id), ACTOR)
        assert process.stdin
        process.stdin.write(b"go on\n")
        await until(process, "a change of a plan has ended")
        assert await ended(world, operations, operation) == cancelled
    assert await world.effects(operation.owner) == []


async def test_it_works_until_a_signal_and_finishes_what_it_has(world: World, operations: Operations) -> None:
    operation, variables = await world.started(), environment(world.database)
    async with started(variables, STOPPING, "checked", str(operation.id)) as process:
        await until(process, "stopped where")
        process.send_signal(signal.SIGTERM)
        await until(process, "draining")
        assert process.stdin
        process.stdin.write(b"go on\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert b'"stopped"' in output
    assert (await ended(world, operations, operation)).state is OperationState.SUCCEEDED


async def test_what_has_no_time_to_end_is_left_to_the_next(world: World, operations: Operations) -> None:
    operation = await world.started()
    variables = environment(world.database, TENANTMESH_WORKER_GRACE="100ms")
    async with started(variables, STOPPING, "begun", str(operation.id)) as process:
        await until(process, "stopped where")
        process.send_signal(signal.SIGTERM)
        await until(process, '"stopped"')
    async with started(variables, *PRODUCT):
        assert (await ended(world, operations, operation)).state is OperationState.SUCCEEDED
    await check_one_effect(world, operation)


async def test_missing_settings_are_named_without_a_traceback() -> None:
    async with started({}, *PRODUCT) as process, asyncio.timeout(PATIENCE_SECONDS):
        _, errors = await process.communicate()
    assert process.returncode == 78
    assert b"TENANTMESH_WORKER_QUEUE_URL" in errors
    assert b"Traceback" not in errors


@pytest.mark.parametrize("role", ["tenant_app", "tenant_directory", "auth_app", "postgres"])
async def test_it_refuses_to_take_jobs_as_another_role(world: World, role: str) -> None:
    variables = environment(world.database, TENANTMESH_WORKER_QUEUE_URL=world.database.url(role).get_secret_value())
    async with started(variables, *PRODUCT) as process:
        assert "take jobs as tenant_worker" in await until(process, "refusing to work")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 78


async def test_a_worker_opens_its_queue_anew_when_the_connection_is_old(world: World, operations: Operations) -> None:
    """After a failover the address leads to another server."""
    variables = environment(world.database, TENANTMESH_DATABASE_MAX_CONNECTION_AGE="3s")
    async with started(variables, *PRODUCT) as worker:
        await until(worker, "working")
        before = await queue_connections(world, besides=set())
        await queue_connections(world, besides=before)
        operation = await world.started()
        assert (await ended(world, operations, operation)).state is OperationState.SUCCEEDED


async def queue_connections(world: World, besides: set[str]) -> set[str]:
    """The server's processes that serve workers, once there are some and they are others than these."""
    asked = f"SELECT pid FROM pg_stat_activity WHERE usename = 'tenant_worker' AND datname = '{world.database.name}'"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            now = set((await asyncio.to_thread(world.database.engines.postgres.sql, asked)).split())
            if now and not now & besides:
                return now
            await asyncio.sleep(0.05)
