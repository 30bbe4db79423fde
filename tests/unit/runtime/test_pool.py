from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tenantmesh.runtime.database import DatabaseUnavailable
from tenantmesh.runtime.database.pool import Pool, PoolShares
from tests.unit.runtime.servers import Server, settle

ANYBODY = "anybody"
WHOLE = PoolShares(share=1)
LIFE = timedelta(seconds=100)


def pool_of(server: Server, size: int = 2, timeout: float = 0.05) -> Pool:
    return Pool(server.connect, size=size, timeout=timedelta(seconds=timeout), shares=WHOLE)


async def test_the_last_one_in_is_the_first_one_out() -> None:
    pool = pool_of(server := Server())
    first, second = await pool.acquire(ANYBODY), await pool.acquire(ANYBODY)
    pool.release(first)
    pool.release(second)
    assert await pool.acquire(ANYBODY) is second
    assert await pool.acquire(ANYBODY) is first
    assert len(server.opened) == 2


async def test_the_size_is_never_exceeded() -> None:
    server = Server()
    pool = pool_of(server, size=3, timeout=5)

    async def use() -> None:
        connection = await pool.acquire(ANYBODY)
        assert server.open_now <= 3
        await asyncio.sleep(0)
        pool.release(connection)

    await asyncio.gather(*(use() for _ in range(100)))
    assert len(server.opened) == 3


async def test_a_full_pool_makes_callers_wait_and_then_gives_up() -> None:
    pool = pool_of(Server(), size=1)
    await pool.acquire(ANYBODY)
    with pytest.raises(DatabaseUnavailable, match="in use"):
        await pool.acquire(ANYBODY)


async def test_whoever_waits_longest_is_served_first() -> None:
    pool = pool_of(Server(), size=1, timeout=5)
    held = await pool.acquire(ANYBODY)
    served: list[int] = []

    async def wait(number: int) -> None:
        connection = await pool.acquire(ANYBODY)
        served.append(number)
        pool.release(connection)

    waiting = [asyncio.create_task(wait(number)) for number in range(5)]
    await settle()
    pool.release(held)
    await asyncio.gather(*waiting)
    assert served == [0, 1, 2, 3, 4]


async def test_a_dead_idle_connection_is_replaced() -> None:
    pool = pool_of(server := Server(), size=1)
    connection = await pool.acquire(ANYBODY)
    pool.release(connection)
    server.opened[0].closed = True
    assert await pool.acquire(ANYBODY) is not connection


async def test_a_connection_that_died_in_use_frees_its_place() -> None:
    pool = pool_of(server := Server(), size=1)
    connection = await pool.acquire(ANYBODY)
    server.opened[0].closed = True
    pool.release(connection)
    assert await pool.acquire(ANYBODY) is not connection


async def test_a_discarded_connection_is_closed_and_its_place_given_to_a_waiter() -> None:
    pool = pool_of(server := Server(), size=1, timeout=5)
    connection = await pool.acquire(ANYBODY)
    waiting = asyncio.create_task(pool.acquire(ANYBODY))
    await settle()
    pool.discard(connection)
    assert await waiting is not connection
    assert server.opened[0].closed


async def test_a_connection_that_does_not_close_is_terminated() -> None:
    pool = pool_of(server := Server(), size=1)
    connection = await pool.acquire(ANYBODY)
    server.opened[0].close_hangs = True
    pool.discard(connection)
    assert await pool.acquire(ANYBODY) is not connection
    assert server.opened[0].terminated


async def test_failing_to_connect_gives_the_place_back() -> None:
    pool = pool_of(server := Server(), size=1)
    server.down = True
    for _ in range(3):
        with pytest.raises(DatabaseUnavailable):
            await pool.acquire(ANYBODY)
    server.down = False
    assert await pool.acquire(ANYBODY)


async def test_waiters_learn_at_once_that_the_server_is_down() -> None:
    pool = pool_of(server := Server(), size=1, timeout=60)
    connection = await pool.acquire(ANYBODY)
    waiting = [asyncio.create_task(pool.acquire(ANYBODY)) for _ in range(10)]
    await settle()
    server.down = True
    pool.discard(connection)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, DatabaseUnavailable) for result in results)


@pytest.mark.parametrize("steps", range(4))
async def test_cancelled_waiters_never_lose_a_connection(steps: int) -> None:
    """Cancel at each point between the release and the waiter's waking up."""
    pool = pool_of(Server(), size=1)
    held = await pool.acquire(ANYBODY)
    waiting = asyncio.create_task(pool.acquire(ANYBODY))
    await settle()
    pool.release(held)
    for _ in range(steps):
        await asyncio.sleep(0)
    waiting.cancel()
    result: Any = (await asyncio.gather(waiting, return_exceptions=True))[0]
    if not isinstance(result, BaseException):
        pool.release(result)
    assert await pool.acquire(ANYBODY) is held


async def test_closing_refuses_waiters_and_closes_what_is_idle_or_comes_back() -> None:
    pool = pool_of(server := Server(), size=1, timeout=60)
    connection = await pool.acquire(ANYBODY)
    waiting = asyncio.create_task(pool.acquire(ANYBODY))
    await settle()
    await pool.close()
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await waiting
    pool.release(connection)
    await settle()
    assert server.open_now == 0
    with pytest.raises(DatabaseUnavailable, match="closed"):
        await pool.acquire(ANYBODY)


async def test_a_connection_that_is_old_is_replaced_whether_it_idles_or_comes_back() -> None:
    now = 0.0
    server = Server()
    pool = Pool(server.connect, size=2, timeout=timedelta(seconds=1), age=LIFE, shares=WHOLE, clock=lambda: now)
    first = await pool.acquire(ANYBODY)
    pool.release(first)
    now = 74.0  # less than three quarters: no lot ends it as early
    assert await pool.acquire(ANYBODY) is first
    now = 100.0
    pool.release(first)
    await settle()
    assert server.opened[0].closed
    second = await pool.acquire(ANYBODY)
    assert second is not first
    pool.release(second)
    now = 200.0
    third = await pool.acquire(ANYBODY)
    assert third is not second
    await settle()
    assert server.open_now == 1
    pool.release(third)
    await pool.close()


async def test_connections_that_were_made_together_do_not_all_end_together() -> None:
    now = 0.0
    server = Server()
    pool = Pool(server.connect, size=40, timeout=timedelta(seconds=1), age=LIFE, shares=WHOLE, clock=lambda: now)
    made = [await pool.acquire(ANYBODY) for _ in range(40)]
    now = 87.5
    for connection in made:
        pool.release(connection)
    await settle()
    assert 0 < server.open_now < 40
    await pool.close()
