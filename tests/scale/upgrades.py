"""How long the migrations since a version take on many tenants, and how long a reader waits for them meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.runtime import migrations
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.earlier import migrations_through, tenant_of_before
from tests.scale.rows import MODEL, multiply

__all__ = ["Upgrade", "upgraded"]

SERVICE, OWNER = "tenantmesh.tenant_svc", "tenant_owner"
_READ = "SELECT slug FROM tenant.tenants WHERE tenant_id = $1"


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade took, in seconds: all of it, and the longest wait of a call that reads one tenant."""

    tenants: int
    seconds: float
    longest_wait: float


def upgraded(first: str, sizes: Iterable[int]) -> list[Upgrade]:
    """For each size make a database of that migration with so many tenants, and bring it to the newest."""
    with tempfile.TemporaryDirectory() as folder, migrations_through(first, Path(folder)) as package:
        return [_upgraded(package, Path(folder) / f"engines-{size}", size) for size in sizes]


def _upgraded(package: str, folder: Path, tenants: int) -> Upgrade:
    with _engines(folder) as engines:
        database = WorkerDatabase(engines, "tenantmesh")
        asyncio.run(migrations.upgrade(package, database.url("tenantmesh_migrate"), OWNER))
        return asyncio.run(_measured(database, tenants))


@contextmanager
def _engines(folder: Path) -> Iterator[Engines]:
    engines = Engines(folder, durable=False, temporary=True)
    engines.open()
    try:
        engines.postgres.start()
        engines.postgres.install()
        yield engines
    finally:
        engines.close()


async def _measured(database: WorkerDatabase, tenants: int) -> Upgrade:
    model = await tenant_of_before(database)
    reader = await asyncpg.connect(database.admin_url.get_secret_value())
    for table in ("tenants", "tenant_events"):
        await reader.execute(f"UPDATE tenant.{table} SET slug = '{MODEL}' WHERE tenant_id = $1", model)
    await multiply(reader, model, tenants)
    over = asyncio.Event()
    waiting = asyncio.create_task(_longest_wait(reader, model, over))
    begun = time.monotonic()
    await migrations.upgrade(SERVICE, database.url("tenantmesh_migrate"), OWNER)
    seconds = time.monotonic() - begun
    over.set()
    found = await waiting
    await reader.close()
    return Upgrade(tenants, seconds, found)


async def _longest_wait(reader: asyncpg.Connection, model: uuid.UUID, over: asyncio.Event) -> float:
    longest = 0.0
    while not over.is_set():
        begun = time.monotonic()
        await reader.fetchrow(_READ, model)
        longest = max(longest, time.monotonic() - begun)
        await asyncio.sleep(0.005)
    return longest
