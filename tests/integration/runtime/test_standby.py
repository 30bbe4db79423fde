"""A server that has become a standby: it answers, and takes no writes."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tenantmesh.chassis.doors import Doors, Outage
from tenantmesh.deploy.stack.engines import postgres as embedded
from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database, StandbyReached
from tenantmesh.runtime.health import NOT_SERVING, SERVING, Check, Health
from tests.integration.runtime.conftest import PACKAGE, DemoDatabase
from tests.integration.runtime.test_doors import add, store, titles

OUTAGE = Outage("TENANT_DIRECTORY_UNAVAILABLE", "Retry with backoff.")


@pytest.fixture
def replicated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engines]:
    """A server whose data can serve as a standby's."""
    monkeypatch.setitem(embedded._SETTINGS, "wal_level", "replica")
    with Engines(tmp_path / "state", durable=False, temporary=True) as engines:
        yield engines


@pytest.fixture
async def own(replicated: Engines) -> DemoDatabase:
    database = DemoDatabase(replicated, "tenantmesh")
    await migrations.upgrade(PACKAGE, database.url("tenantmesh_migrate"), "tenant_owner")
    return database


@pytest.fixture
async def database(own: DemoDatabase) -> AsyncIterator[Database]:
    opened = Database(own.settings(pool_size=3, command_timeout=timedelta(seconds=5)), schema="tenant")
    await opened.open()
    yield opened
    await opened.close()


def demote(engines: Engines) -> None:
    """Starts the server again as a standby."""
    engines.postgres.stop()
    signal_file = engines.postgres.data / "standby.signal"
    signal_file.touch()
    shutil.copymode(engines.postgres.data / "PG_VERSION", signal_file)
    status = (engines.postgres.data / "PG_VERSION").stat()
    shutil.chown(signal_file, status.st_uid, status.st_gid)
    engines.postgres.start()


async def write(doors: Doors, tenant: uuid.UUID) -> None:
    async with doors.tenant(tenant) as connection:
        await add(connection, tenant, "written")


async def test_a_standby_is_unavailable_and_not_serving_until_it_is_promoted(
    own: DemoDatabase, database: Database
) -> None:
    tenant, doors = uuid.uuid4(), Doors(database, OUTAGE)
    await store(database, tenant, "kept")
    check = Check("database", database.check, tolerance=timedelta(milliseconds=200))
    health = Health({"notes": [check]}, interval=timedelta(milliseconds=50))
    await health.start()
    try:
        assert health.status("notes") == SERVING
        await asyncio.to_thread(demote, own.engines)
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                await write(doors, tenant)
            assert isinstance(caught.value.__cause__, StandbyReached)
            assert caught.value.retry_after == timedelta(seconds=1)
        assert await titles(database, tenant) == ["kept"], "reads go on"
        await until(health, NOT_SERVING)

        await own.as_superuser("SELECT pg_promote()")
        await until(health, SERVING)
        await write(doors, tenant)
        assert sorted(await titles(database, tenant)) == ["kept", "written"]
    finally:
        await health.close()


async def until(health: Health, status: int) -> None:
    async with asyncio.timeout(20):
        while health.status("notes") != status:
            await asyncio.sleep(0.05)
