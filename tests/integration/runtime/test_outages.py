"""What happens when PostgreSQL goes away, and when it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import CommitUnknown, Database, DatabaseUnavailable
from tests.integration.runtime.conftest import PACKAGE, DemoDatabase
from tests.integration.runtime.test_doors import SLEEP, add, store, titles


@pytest.fixture
async def own(own_engines: Engines) -> DemoDatabase:
    database = DemoDatabase(own_engines, "tenantmesh")
    await migrations.upgrade(PACKAGE, database.url("tenantmesh_migrate"), "tenant_owner")
    return database


@pytest.fixture
async def database(own: DemoDatabase) -> AsyncIterator[Database]:
    opened = Database(own.settings(pool_size=3, command_timeout=timedelta(milliseconds=400)), schema="tenant")
    await opened.open()
    yield opened
    await opened.close()


async def warm(database: Database) -> None:
    """Fill the pool with idle connections, by three tenants, since one may not have them all."""
    ready = asyncio.Barrier(3)

    async def hold() -> None:
        async with database.tenant_transaction(uuid.uuid4()):
            await ready.wait()

    await asyncio.gather(hold(), hold(), hold())


async def test_a_restart_is_not_felt_after_it(own: DemoDatabase, database: Database) -> None:
    tenant = uuid.uuid4()
    await store(database, tenant, "kept")
    await warm(database)
    await asyncio.to_thread(own.engines.postgres.stop)
    with pytest.raises(DatabaseUnavailable):
        await titles(database, tenant)
    with pytest.raises(DatabaseUnavailable):
        await database.check()
    await asyncio.to_thread(own.engines.postgres.start)
    assert await asyncio.gather(*(titles(database, tenant) for _ in range(6))) == [["kept"]] * 6
    await database.check()


async def test_idle_connections_that_died_unnoticed_are_replaced_within_the_call(
    own: DemoDatabase, database: Database
) -> None:
    tenant = uuid.uuid4()
    await warm(database)
    # Not awaited: the event loop has no chance to see the connections close before they are used.
    own.engines.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant_app'")
    assert await titles(database, tenant) == []


async def test_losing_the_server_inside_a_transaction_is_unavailable(own: DemoDatabase, database: Database) -> None:
    tenant = uuid.uuid4()

    async def interrupted() -> None:
        async with database.tenant_transaction(tenant) as connection:
            await add(connection, tenant, "lost")
            await own.as_superuser(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant_app'"
            )
            await connection.fetch(SLEEP, seconds=0.0)

    with pytest.raises(DatabaseUnavailable):
        await interrupted()
    assert await titles(database, tenant) == []


async def test_losing_the_server_while_committing_is_unknown(own: DemoDatabase, database: Database) -> None:
    tenant = uuid.uuid4()

    async def interrupted() -> None:
        async with database.tenant_transaction(tenant) as connection:
            await add(connection, tenant, "perhaps")
            await own.as_superuser(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tenant_app'"
            )

    with pytest.raises(CommitUnknown):
        await interrupted()


async def test_a_server_that_says_nothing_is_unavailable_in_bounded_time(own: DemoDatabase, database: Database) -> None:
    tenant = uuid.uuid4()
    await warm(database)
    child = own.engines.postgres.child
    assert child is not None
    backends = await pids(own)
    for pid in (child.process.pid, *backends):
        send(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(DatabaseUnavailable):
                await titles(database, tenant)
            with pytest.raises(DatabaseUnavailable):
                await database.check()
    finally:
        for pid in (*backends, child.process.pid):
            send(pid, signal.SIGCONT)
    await eventually(database, tenant)


async def pids(own: DemoDatabase) -> list[int]:
    out = own.engines.postgres.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'tenant_app'")
    return [int(line) for line in out.split()]


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


async def eventually(database: Database, tenant: uuid.UUID) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await titles(database, tenant)
            except DatabaseUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_listener_comes_back_and_says_so(own: DemoDatabase, database: Database) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("news", heard.put_nowait):
        assert await asyncio.wait_for(heard.get(), 5) == ""
        await own.as_superuser("SELECT pg_notify('news', 'first')")
        assert await asyncio.wait_for(heard.get(), 5) == "first"
        await asyncio.to_thread(own.engines.postgres.stop)
        await asyncio.to_thread(own.engines.postgres.start)
        assert await asyncio.wait_for(heard.get(), 10) == ""
        await own.as_superuser("SELECT pg_notify('news', 'second')")
        assert await asyncio.wait_for(heard.get(), 5) == "second"
    await asyncio.sleep(0.2)
    listening = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tenant_directory'"
    assert own.engines.postgres.sql(listening) == "0"


async def test_listener_and_probe_get_new_connections_as_the_pools_do(own: DemoDatabase) -> None:
    """After a failover the address leads to another server: a connection that lives for ever stays with the old one."""
    database = Database(own.settings(max_connection_age=timedelta(seconds=1)), schema="tenant")
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with database.listen("news", heard.put_nowait):
        assert await asyncio.wait_for(heard.get(), 5) == ""
        await database.check()
        before = await backends(own)
        assert len(before) == 2
        assert await asyncio.wait_for(heard.get(), 5) == "", "it listens anew, and looks for what it missed"
        await asyncio.sleep(1)
        await database.check()
        assert not before & await backends(own)
        await own.as_superuser("SELECT pg_notify('news', 'heard')")
        assert await asyncio.wait_for(heard.get(), 5) in {"", "heard"}
    await database.close()


async def backends(own: DemoDatabase) -> set[str]:
    out = own.engines.postgres.sql(
        "SELECT pid FROM pg_stat_activity WHERE usename IN ('tenant_app', 'tenant_directory')"
    )
    return set(out.split())
