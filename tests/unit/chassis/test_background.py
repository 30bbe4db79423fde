"""Background loops: when they run, and what a failure does to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import structlog

from tenantmesh.chassis.background import Repeating
from tenantmesh.interceptors.errors import Unavailable

SOON, LATER = timedelta(milliseconds=1), timedelta(hours=1)


class Work:
    """Counts its runs; `left` is how many more it says there are, `failures` what its next runs raise."""

    def __init__(self, left: int = 0, *failures: BaseException) -> None:
        self.left = left
        self.failures = list(failures)
        self.runs = 0
        self._ran = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        self._ran.set()
        if self.failures:
            raise self.failures.pop(0)
        self.left = max(0, self.left - 1)
        return self.left

    async def until(self, runs: int) -> None:
        async with asyncio.timeout(30):
            while self.runs < runs:
                self._ran.clear()
                await self._ran.wait()


@asynccontextmanager
async def repeating(work: Callable[[], Awaitable[int]], interval: timedelta) -> AsyncIterator[Repeating]:
    loop = Repeating("a test", work, interval)
    await loop.start()
    yield loop
    await loop.close()


async def idle() -> None:
    """Lets every other task run on, several times."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_it_repeats_at_once_while_there_is_more_and_then_rests() -> None:
    work = Work(left=5)
    async with repeating(work, LATER):
        await work.until(5)
        await idle()
    assert work.runs == 5


async def test_it_runs_again_after_the_interval() -> None:
    work = Work()
    async with repeating(work, SOON):
        await work.until(3)
    assert work.runs >= 3


async def test_it_runs_at_once_when_woken() -> None:
    work = Work()
    async with repeating(work, LATER) as loop:
        await work.until(1)
        await idle()
        loop.wake()
        await work.until(2)
        await idle()
    assert work.runs == 2


async def test_a_wake_during_the_work_is_not_lost() -> None:
    async def wake_once() -> int:
        runs.append(1)
        if len(runs) == 1:
            loop.wake()
        elif len(runs) == 2:
            again.set()
        return 0

    runs: list[int] = []
    again = asyncio.Event()
    async with repeating(wake_once, LATER) as loop, asyncio.timeout(30):
        await again.wait()
    assert len(runs) == 2


async def test_after_a_failure_it_waits_whatever_wakes_it() -> None:
    work = Work(0, Unavailable("QUOTA_UNAVAILABLE", "away"))
    async with repeating(work, LATER) as loop:
        await work.until(1)
        for _ in range(10):
            loop.wake()
            await asyncio.sleep(0)
    assert work.runs == 1


async def test_no_failure_ends_it() -> None:
    work = Work(0, Unavailable("QUOTA_UNAVAILABLE", "away"), ValueError("a bug"))
    async with repeating(work, SOON):
        await work.until(4)
    assert not work.failures


async def test_an_outage_is_logged_once_until_it_is_over() -> None:
    away = Unavailable("QUOTA_UNAVAILABLE", "away")
    with structlog.testing.capture_logs() as logs:
        work = Work(0, away, away, away)
        async with repeating(work, SOON):
            await work.until(4)
            work.failures.append(away)
            await work.until(6)
    assert [entry["event"] for entry in logs] == ["background work waits"] * 2


async def test_it_can_begin_after_an_interval() -> None:
    work = Work()
    loop = Repeating("a test", work, LATER, later=True)
    await loop.start()
    await idle()
    assert work.runs == 0
    loop.wake()
    await work.until(1)
    await loop.close()


async def test_closing_what_was_never_started_does_nothing() -> None:
    work = Work()
    await Repeating("a test", work, SOON).close()
    assert work.runs == 0


async def test_a_call_that_was_cancelled_by_others_ends_no_loop() -> None:
    work = Work(0, asyncio.CancelledError())
    with structlog.testing.capture_logs() as logged:
        async with repeating(work, SOON):
            await work.until(2)
    assert [line["event"] for line in logged] == ["background work failed"]


async def test_a_loop_is_started_once() -> None:
    async with repeating(Work(), LATER) as loop:
        with pytest.raises(RuntimeError, match="a test is started a second time"):
            await loop.start()
