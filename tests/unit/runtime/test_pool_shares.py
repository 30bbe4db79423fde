"""Connections shared between holders: shares, turns, and the bounds of those who wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenantmesh.runtime.database import DatabaseUnavailable
from tenantmesh.runtime.database.errors import ShareInUse
from tenantmesh.runtime.database.pool import Pool, PoolShares, RawConnection
from tests.unit.runtime.servers import Server, settle

HALF = PoolShares()


def pool_of(size: int = 10, *, timeout: float = 60, shares: PoolShares = HALF) -> Pool:
    return Pool(Server().connect, size=size, timeout=timedelta(seconds=timeout), shares=shares)


async def asking(pool: Pool, *holders: str) -> list[asyncio.Task[RawConnection]]:
    """Have callers of these holders ask, in this order. Each has a connection or waits."""
    tasks = [asyncio.create_task(pool.acquire(holder)) for holder in holders]
    await settle()
    return tasks


def held(tasks: Sequence[asyncio.Task[RawConnection]]) -> int:
    return sum(task.done() for task in tasks)


async def ended(pool: Pool, *tasks: asyncio.Task[RawConnection]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await pool.close()


async def test_one_holder_leaves_half_of_the_connections_to_others_also_when_alone() -> None:
    pool = pool_of()
    flood = await asking(pool, *["A"] * 50)
    assert held(flood) == 5
    others = await asking(pool, *"BCDE")
    assert held(others) == 4
    await ended(pool, *flood, *others)


async def test_each_further_one_takes_half_of_what_is_left_and_everybody_has_one() -> None:
    pool = pool_of()
    floods = [await asking(pool, *[holder] * 20) for holder in "ABCD"]
    assert [held(flood) for flood in floods] == [5, 3, 1, 1]
    await ended(pool, *[task for flood in floods for task in flood])


async def test_a_pool_of_one_connection_serves_everybody() -> None:
    pool = pool_of(1)
    first, second = await asking(pool, "A", "B")
    pool.release(first.result())
    pool.release(await second)
    assert (pool.in_use, pool.waiting) == (0, 0)
    await pool.close()


async def test_whoever_waits_alone_is_served_after_one_turn_of_a_holder_with_many_callers() -> None:
    pool = pool_of(2, shares=PoolShares(share=1))
    flood = await asking(pool, *["A"] * 40)
    other = await asking(pool, "B")
    for turns in range(40):
        if other[0].done():
            break
        pool.release([task for task in flood if task.done()][turns].result())
        await settle()
    assert turns <= 2
    await ended(pool, *flood, *other)


async def test_what_a_share_kept_from_a_holder_is_given_to_it_when_others_leave() -> None:
    pool = pool_of(4)
    mine, others = await asking(pool, "A", "A", "A"), await asking(pool, "B")
    assert (held(mine), held(others)) == (2, 1)
    pool.release(mine[0].result())
    await settle()
    assert held(mine) == 3
    await ended(pool, mine[2], *others)


async def test_a_connection_counts_until_the_server_let_go_of_it() -> None:
    """A caller who cancels and asks again has no more than one who waits."""
    pool = pool_of(4)
    first, second, third = await asking(pool, "A", "A", "A")
    pool.discard(first.result())
    assert not third.done()
    await settle()
    assert third.done()
    await ended(pool, second, third)


async def test_too_many_callers_of_one_holder_are_refused_at_once_and_others_are_not() -> None:
    pool = pool_of(4, shares=PoolShares(holder_waiting=3))
    flood = await asking(pool, *["A"] * 5)
    with pytest.raises(ShareInUse):
        await pool.acquire("A")
    assert (pool.waiting, pool.counts.refused) == (3, 1)
    others = await asking(pool, "B", "C", "D")
    assert held(others) == 2
    await ended(pool, *flood, *others)


async def test_when_too_many_wait_in_all_whoever_has_most_callers_loses_one() -> None:
    pool = pool_of(1, shares=PoolShares(waiting=4))
    tasks = await asking(pool, "A", "A", "A", "A", "B")
    late = await asking(pool, "C")
    assert [task.done() for task in tasks] == [True, False, False, True, False]
    with pytest.raises(ShareInUse):
        await tasks[3]
    assert not late[0].done()
    await ended(pool, *tasks, *late)


async def test_a_wait_ends_with_what_was_missing() -> None:
    pool = pool_of(2, timeout=0.01)
    await pool.acquire("A")
    with pytest.raises(ShareInUse):
        await pool.acquire("A")
    await pool.acquire("B")
    with pytest.raises(DatabaseUnavailable, match="all connections") as caught:
        await pool.acquire("C")
    assert not isinstance(caught.value, ShareInUse)
    assert pool.counts.expired == 2
    await pool.close()


async def test_one_who_lost_its_place_when_it_was_cancelled_anyway_disturbs_nobody() -> None:
    pool = pool_of(1, shares=PoolShares(holder_waiting=1))
    first, second = await asking(pool, "A", "A")
    second.cancel()
    with pytest.raises(ShareInUse):
        await pool.acquire("A")
    await ended(pool, first, second)


class Users:
    """Callers of three holders who take, use and leave, by a list of steps."""

    def __init__(self, size: int, share: float) -> None:
        self.server = Server()
        self.size = size
        shares = PoolShares(share=share, waiting=6, holder_waiting=4)
        self.pool = Pool(self.server.connect, size=size, timeout=timedelta(seconds=60), shares=shares)
        self.asked: list[tuple[str, asyncio.Task[RawConnection]]] = []

    async def do(self, step: str, holder: str, choice: int) -> None:
        if step == "ask":
            self.asked.append((holder, asyncio.create_task(self.pool.acquire(holder))))
        elif step in ("down", "up"):
            self.server.down = step == "down"
        elif step == "pause":
            await asyncio.sleep(0)
        elif self.asked:
            _, task = self.asked.pop(choice % len(self.asked))
            self.leave(task, step)

    def leave(self, task: asyncio.Task[RawConnection], step: str) -> None:
        if not task.done():
            task.cancel()
            task.add_done_callback(self._put_back)  # it may have had a connection already
        elif not task.cancelled() and task.exception() is None:
            (self.pool.release if step == "release" else self.pool.discard)(task.result())

    def _put_back(self, task: asyncio.Task[RawConnection]) -> None:
        if not task.cancelled() and task.exception() is None:
            self.pool.release(task.result())

    async def check(self) -> None:
        """Assert that the bounds hold, and that nobody waits who could be served."""
        await settle()
        alive = [(holder, task) for holder, task in self.asked if not task.done() or task.exception() is None]
        served = Counter(holder for holder, task in alive if task.done())
        waiting = Counter(holder for holder, task in alive if not task.done())
        assert self.server.open_now <= self.size
        assert waiting.total() == self.pool.waiting
        free = self.size - served.total()
        assert not free or not [holder for holder in waiting if not served[holder]]

    async def left(self) -> int:
        """Take everything back, and return how many connections there are to give."""
        self.server.down = False
        for _, task in self.asked:
            self.leave(task, "release")
        await settle()
        assert (self.pool.in_use, self.pool.waiting) == (0, 0)
        all_of_them = await asking(self.pool, *map(str, range(self.size)))
        await ended(self.pool)
        return held(all_of_them)


_STEP = st.sampled_from(["ask", "ask", "ask", "release", "discard", "pause", "down", "up"])
_STEPS = st.lists(st.tuples(_STEP, st.sampled_from("ABC"), st.integers(0, 9)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5), st.sampled_from([0.25, 0.5, 1.0]), _STEPS)
def test_no_connection_and_no_turn_is_lost_whatever_happens(
    size: int, share: float, steps: list[tuple[str, str, int]]
) -> None:
    async def run() -> int:
        users = Users(size, share)
        for number, step in enumerate(steps):
            await users.do(*step)
            if number % 5 == 4:
                await users.check()
        return await users.left()

    assert asyncio.run(run()) == size
