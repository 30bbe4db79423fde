"""Two tenants on one small pool of a real PostgreSQL: how slow one is costs the other a turn at most."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import bindparam, func, select

from tenantmesh.runtime.database import Database, DatabaseUnavailable, compiled
from tenantmesh.runtime.database.errors import ShareInUse
from tests.integration.runtime.conftest import OpenDatabase

SLEEP = compiled(select(func.pg_sleep(bindparam("seconds"))))
ONE = compiled(select(func.pg_backend_pid()))
SLOWER_THAN_ANY_TEST = 5.0


async def sleep(database: Database, tenant: uuid.UUID, seconds: float) -> None:
    async with database.tenant_transaction(tenant, read_only=True) as connection:
        await connection.execute(SLEEP, seconds=seconds)


async def ask(database: Database, tenant: uuid.UUID) -> bool:
    async with database.tenant_transaction(tenant, read_only=True) as connection:
        return bool(await connection.fetch(ONE))


@asynccontextmanager
async def flooded(database: Database, tenant: uuid.UUID, calls: int, seconds: float) -> AsyncIterator[None]:
    """Has a tenant make so many slow calls at once."""
    tasks = [asyncio.create_task(sleep(database, tenant, seconds)) for _ in range(calls)]
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_tenants_slow_statements_leave_connections_for_others(open_database: OpenDatabase) -> None:
    database = await open_database(pool_size=4, acquire_timeout="60s")
    async with flooded(database, uuid.uuid4(), 40, SLOWER_THAN_ANY_TEST):
        async with asyncio.timeout(SLOWER_THAN_ANY_TEST - 1):  # none of the slow ones has ended
            for _ in range(20):
                assert await ask(database, tenant := uuid.uuid4())
            assert all(await asyncio.gather(*(ask(database, tenant) for _ in range(20))))


async def test_a_tenant_alone_waits_one_turn_of_another_one_with_many_calls(open_database: OpenDatabase) -> None:
    database = await open_database(pool_size=1, acquire_timeout="60s")
    order: list[str] = []

    async def noted(name: str, tenant: uuid.UUID) -> None:
        async with database.tenant_transaction(tenant) as connection:
            order.append(name)
            await connection.execute(SLEEP, seconds=0.01)

    many, one = uuid.uuid4(), uuid.uuid4()
    flood = [asyncio.create_task(noted("many", many)) for _ in range(30)]
    await asyncio.sleep(0)
    for _ in range(5):
        turns_before = len(order)
        await noted("one", one)
        assert order[turns_before:].index("one") <= 2, "the one whose turn it was, and one more"
    await asyncio.gather(*flood)


async def test_calls_beyond_a_tenants_places_are_refused_at_once(open_database: OpenDatabase) -> None:
    database = await open_database(pool_size=2, tenant_max_waiting=3, acquire_timeout="60s")
    tenant = uuid.uuid4()
    async with flooded(database, tenant, 4, SLOWER_THAN_ANY_TEST):
        async with asyncio.timeout(SLOWER_THAN_ANY_TEST - 1):
            with pytest.raises(ShareInUse):
                await ask(database, tenant)
            with pytest.raises(ShareInUse):
                await database.tenant_read(tenant, "get_anything")


async def test_calls_that_are_given_up_do_not_widen_a_share(open_database: OpenDatabase) -> None:
    """Their connections stay busy until the server has ended the statements."""
    database = await open_database(pool_size=4, acquire_timeout="60s")
    tenant = uuid.uuid4()

    async def give_up() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await sleep(database, tenant, SLOWER_THAN_ANY_TEST)

    async with asyncio.timeout(SLOWER_THAN_ANY_TEST - 1):
        for _ in range(20):
            attack = asyncio.gather(*(give_up() for _ in range(20)))
            assert await ask(database, uuid.uuid4())
            await attack


async def test_a_purpose_that_takes_all_leaves_the_directory_role_to_others(open_database: OpenDatabase) -> None:
    database = await open_database(system_pool_size=2, acquire_timeout="0.2s")

    async def slow() -> None:
        async with database.system_transaction("look up tenants by names that strangers send", read_only=True) as held:
            await held.execute(SLEEP, seconds=SLOWER_THAN_ANY_TEST)

    tasks = [asyncio.create_task(slow()) for _ in range(10)]
    await asyncio.sleep(0.05)
    for holder in ({"reason": "follow the log"}, {"reason": "look up", "on_behalf_of": uuid.uuid4()}):
        async with database.system_transaction(**holder, read_only=True) as connection:
            await connection.fetch(ONE)
    for task in tasks[2:]:
        with pytest.raises(DatabaseUnavailable):
            await task
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
