"""What the purge of a large tenant costs, and what others feel of it: `make bench-purge`.

Fills a tenant with a million rows of both services, purges it, and calls for another tenant meanwhile. Prints how long
the purge took, the longest transaction of its roles, how long another transaction waited for a lock at most, the memory
of the processes that purge, and the times of the other tenant's calls before and during it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.fixtures.mesh import AUTH, OPERATIONS, QUOTAS, TENANTS, Mesh, Tenant, World
from tests.fixtures.stack import started_stack
from tests.scale.memory import Peak
from tests.transports import GrpcTransport

PURGES = "tenantmesh.tenant.v1.PurgeService"
PARTS = {"users": 0.1, "sessions": 0.4, "entitlement_events": 0.3, "operations": 0.2}
FILL = {
    "users": """INSERT INTO auth.users SELECT $1, gen_random_uuid(), n || '@x.example', n || '@x.example', 'N', 'hash',
        '{member}', 0, now() FROM generate_series(1, $2::int) AS n""",
    "sessions": """INSERT INTO auth.sessions SELECT tenant_id, gen_random_uuid(), user_id, sha256(n::text::bytea), '[]',
        now(), now(), now() + interval '1 day', NULL, NULL
        FROM (SELECT tenant_id, user_id FROM auth.users WHERE tenant_id = $1) AS u, generate_series(1, 1000) AS n
        LIMIT $2::int""",
    # At positions that no reader of the log has still to read.
    "entitlement_events": """INSERT INTO tenant.entitlement_events (tenant_id, position, number, type, feature_id,
        actor, reason, before, after, plan_id, plan_version, create_time)
        SELECT $1, -n, -n, 'GRANT_CREATED', 'api_requests',
        '', 'a reason', '', '5', 'basic', 1, now() FROM generate_series(1, $2::int) AS n""",
    "operations": """INSERT INTO tenant.operations (tenant_id, operation_id, type, state, request, progress,
        cancel_requested, actor, effective_time, create_time, end_time)
        SELECT $1, gen_random_uuid(), 'X', 'SUCCEEDED', '{}', '{}', false, '', now(), now(), now()
        FROM generate_series(1, $2::int)""",
}
OTHERS = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start))
           FILTER (WHERE a.usename IN ('tenant_purger', 'auth_purger')), 0)::float AS transaction,
       coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float AS waiting
FROM pg_stat_activity AS a LEFT JOIN pg_locks AS l ON l.pid = a.pid AND NOT l.granted
"""
LOOK_SECONDS = 0.005
BEFORE_SECONDS = 10.0


@dataclass
class Seen:
    """The seconds of each call of other tenants, by method, and the longest transaction and wait."""

    calls: dict[str, list[float]] = field(default_factory=dict)
    transaction: float = 0.0
    waiting: float = 0.0


async def fill(connection: asyncpg.Connection, tenant: Tenant, rows: int) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers that number rows
        for table, share in PARTS.items():
            await connection.execute(FILL[table], tenant.id, int(rows * share))
    await connection.execute("VACUUM ANALYZE")


async def look(connection: asyncpg.Connection, seen: Seen) -> None:
    """Look at transactions and locks until cancelled."""
    while True:
        row = await connection.fetchrow(OTHERS)
        assert row is not None
        seen.transaction, seen.waiting = max(seen.transaction, row["transaction"]), max(seen.waiting, row["waiting"])
        await asyncio.sleep(LOOK_SECONDS)


async def call(world: World, tenant: Tenant, refresh_token: str, seen: Seen) -> None:
    """Call for the tenant until cancelled: a reservation and the refresh of a session write, a read does not."""
    amounts = [{"meter": "api_requests", "amount": "1"}]

    async def allocate() -> None:
        reserved = await world.operate(f"{QUOTAS}/Allocate", {"id": tenant.id, "amounts": amounts})
        await world.operate(f"{QUOTAS}/Release", {"id": tenant.id, "allocationId": reserved["id"]})

    async def refresh() -> None:
        nonlocal refresh_token
        answer = await world.transport.call(f"{AUTH}/RefreshToken", {"refreshToken": refresh_token})
        assert answer.code == "OK", answer
        refresh_token = answer.body["refreshToken"]

    async def read() -> None:
        await world.operate(f"{TENANTS}/GetTenant", {"id": tenant.id})

    calls: dict[str, Callable[[], Awaitable[None]]] = {
        "Allocate and Release": allocate,
        "RefreshToken": refresh,
        "GetTenant": read,
    }
    while True:
        for name, made in calls.items():
            begun = time.perf_counter()
            await made()
            seen.calls.setdefault(name, []).append(time.perf_counter() - begun)


async def watched(world: World, neighbour: Tenant, connection: asyncpg.Connection, work: Awaitable[Any]) -> Seen:
    """Do the work while others call and somebody looks. Return what they saw."""
    seen = Seen()
    user = await world.user(neighbour)
    tasks = [
        asyncio.create_task(look(connection, seen)),
        asyncio.create_task(call(world, neighbour, user.refresh_token, seen)),
    ]
    await work
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(outcome, asyncio.CancelledError):
            raise RuntimeError("a call of another tenant failed") from outcome
    return seen


async def purge(world: World, tenant: Tenant) -> dict[str, Any]:
    """Purge the tenant and return its proof."""
    await world.operate(f"{TENANTS}/DeleteTenant", {"id": tenant.id})
    operation = await world.operate(f"{TENANTS}/PurgeTenant", {"id": tenant.id})
    request = {"operationId": operation["name"].rpartition("/")[2], "timeout": "10s"}
    while not operation.get("done"):
        operation = await world.operate(f"{OPERATIONS}/WaitOperation", request)
    assert "error" not in operation, operation
    proof = await world.operate(f"{PURGES}/GetPurge", {"tenantId": tenant.id})
    return dict(json.loads(proof["proof"]))


@asynccontextmanager
async def snapshot(url: str, *, held: bool) -> AsyncIterator[None]:
    """Hold a snapshot as a backup does: no deleted row may be removed from the files meanwhile."""
    if not held:
        yield
        return
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SELECT count(*) FROM tenant.tenants")
            yield
    finally:
        await connection.close()


async def measured(mesh: Mesh, rows: int, *, backup: bool) -> None:
    """Measure and print."""
    url = mesh.stack.engines.postgres.url("postgres").get_secret_value()
    async with AsyncExitStack() as opened:
        transport = await opened.enter_async_context(GrpcTransport(mesh.tenant_target, mesh.auth_target))
        world = World(mesh, transport)
        connection = await asyncpg.connect(url)
        opened.push_async_callback(connection.close)
        plan = await world.plan(core=True, users=None, api_requests=None, rates={"default": (1e4, 10_000)})
        tenant, neighbour = await world.tenant(plan=plan), await world.tenant(plan=plan)
        await fill(connection, tenant, rows)
        before = await watched(world, neighbour, connection, asyncio.sleep(BEFORE_SECONDS))
        processes = {
            each.command.name: each.process.pid
            for each in mesh.stack.children
            if each.command.name in {"tenant_worker", "auth_svc"}
        }
        proofs: list[dict[str, Any]] = []

        async def purging() -> None:
            proofs.append(await purge(world, tenant))

        begun = time.monotonic()
        async with snapshot(url, held=backup):
            with ExitStack() as stack:
                peaks = {name: stack.enter_context(Peak(pid)) for name, pid in processes.items()}
                during = await watched(world, neighbour, connection, purging())
        report(time.monotonic() - begun, proofs[0], peaks, before, during)


def report(seconds: float, proof: dict[str, Any], peaks: dict[str, Peak], before: Seen, during: Seen) -> None:
    destroyed = sum(each["before"] for each in proof["tables"])
    print(f"rows destroyed                  {destroyed:,} in {seconds:.1f} s, {destroyed / seconds:,.0f} rows/s")
    for step in proof["steps"]:
        print(f"  {step['step']:10} ended {step['end_time']}")
    print(f"longest transaction of a purge  {1000 * during.transaction:.0f} ms")
    print(f"longest wait for a lock         {1000 * during.waiting:.0f} ms")
    for name, peak in peaks.items():
        print(f"memory of {name:20}  {peak.before:.0f} MiB before, {peak.most:.0f} MiB at most")
    for name, times in before.calls.items():
        both = [f"{ms(times, share):.1f} → {ms(during.calls[name], share):.1f} ms" for share in (0.5, 0.99)]
        print(f"{name:31} p50 {both[0]}, p99 {both[1]} (n {len(times)}, {len(during.calls[name])})")


def ms(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-purge")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the tenant")
    parser.add_argument("--backup", action="store_true", help="purge while a backup holds its snapshot")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, started_stack(Path(folder), cluster=False, durable=True) as stack:
        asyncio.run(measured(Mesh(stack), options.rows, backup=options.backup))


if __name__ == "__main__":
    main()
