"""A purge that is killed again and again: the worker, the database and the store die during it, and it ends once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psutil
import pytest

from tests.fixtures.mesh import TENANTS, Mesh, Tenant, World
from tests.fixtures.stack import started_stack
from tests.transports import GrpcTransport

PURGES = "tenantmesh.tenant.v1.PurgeService"
ROWS = 12_000
PATIENCE_SECONDS = 240


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, clustered: bool) -> Iterator[Mesh]:
    """A stack of its own, whose parts may be killed."""
    with started_stack(tmp_path_factory.mktemp("killed"), cluster=clustered, durable=True) as stack:
        yield Mesh(stack)


@pytest.fixture
async def world(own: Mesh) -> AsyncIterator[World]:
    async with GrpcTransport(own.tenant_target, own.auth_target) as transport:
        yield World(own, transport)


def kill(mesh: Mesh, name: str) -> None:
    """Kill -9 a part of the stack. The supervisor starts it again."""
    record = json.loads((mesh.stack.places.state / "run.json").read_text())
    for child in record["children"]:
        if child["name"].startswith(name) and psutil.pid_exists(child["pid"]):
            os.kill(child["pid"], signal.SIGKILL)


async def query(mesh: Mesh, sql: str, *arguments: Any) -> list[asyncpg.Record]:
    """Ask as the superuser, also while the server starts again."""
    while True:
        try:
            connection = await asyncpg.connect(mesh.stack.engines.postgres.url("postgres").get_secret_value())
            try:
                return list(await connection.fetch(sql, *arguments))
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.1)


async def large_tenant(world: World) -> Tenant:
    tenant = await world.tenant("killed")
    await query(
        world.mesh,
        """INSERT INTO auth.users SELECT $1, gen_random_uuid(), n || '@x.example', n || '@x.example', 'N', 'hash',
           '{member}', 0, now() FROM generate_series(1, $2::int) AS n""",
        tenant.id,
        ROWS,
    )
    await query(
        world.mesh,
        """INSERT INTO tenant.operations (tenant_id, operation_id, type, state, request, progress, cancel_requested,
           actor, effective_time, create_time, end_time)
           SELECT $1, gen_random_uuid(), 'X', 'SUCCEEDED', '{}', '{}', false, '', now(), now(), now()
           FROM generate_series(1, $2::int)""",
        tenant.id,
        ROWS,
    )
    return tenant


async def until_fewer(mesh: Mesh, tenant: Tenant, than: int) -> int:
    """The number of rows that are left, once it is smaller."""
    sql = (
        "SELECT (SELECT count(*) FROM auth.users WHERE tenant_id = $1) + "
        "(SELECT count(*) FROM tenant.operations WHERE tenant_id = $1) AS rows"
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            rows = int((await query(mesh, sql, tenant.id))[0]["rows"])
            if rows < than:
                return rows
            await asyncio.sleep(0.01)


@asynccontextmanager
async def supervised(mesh: Mesh) -> AsyncIterator[None]:
    """Start again what is killed, as `tenantmesh dev` does."""

    async def watch() -> None:
        while True:
            await asyncio.to_thread(mesh.stack.watch)
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@pytest.mark.timeout(600)
async def test_killed_again_and_again_it_ends_once(world: World) -> None:
    mesh, tenant = world.mesh, await large_tenant(world)
    async with supervised(mesh):
        killed = await purge_and_kill(world, tenant)
        proof = await proven(world, tenant)
        left = await until_fewer(mesh, tenant, 1)
        ended = await query(mesh, "SELECT state FROM tenant.mesh_operations WHERE subject = $1", f"tenants/{tenant.id}")
    assert len(killed) >= 3, "it ended before anything was killed"
    before = {each["table"]: each["before"] for each in proof["tables"]}
    assert (before["auth.users"], before["tenant.operations"], left) == (ROWS, ROWS, 0)
    assert [row["state"] for row in ended] == ["SUCCEEDED"], killed


async def purge_and_kill(world: World, tenant: Tenant) -> list[tuple[str, int]]:
    """Purge the tenant, and kill a part whenever rows have gone. Return the parts, with the rows that were left."""
    mesh = world.mesh
    left = 2 * ROWS
    await world.operate(f"{TENANTS}/DeleteTenant", {"id": tenant.id, "gracePeriod": "0s"})
    killed = []
    for part in ("tenant_worker", "postgres", "tenant_svc", "valkey", "auth_svc", "tenant_worker"):
        left = await until_fewer(mesh, tenant, left)
        if left:
            kill(mesh, part)
            killed.append((part, left))
    return killed


async def proven(world: World, tenant: Tenant) -> dict[str, Any]:
    """The proof, once there is one."""
    request = {"tenantId": tenant.id}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await world.transport.call(f"{PURGES}/GetPurge", request, token=world.mesh.operator_key)
            if found.code == "OK":
                return dict(json.loads(found.body["proof"]))
            await asyncio.sleep(0.2)
