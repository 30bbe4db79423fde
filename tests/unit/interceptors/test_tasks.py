"""Work that several calls share, and events that may not come."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from tenantmesh.interceptors.tasks import SingleFlight, cancel, run_all, wait_for_event

CALLER = ContextVar("CALLER", default="nobody")


class Work:
    """Answers with the key when the test lets it."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.runs: list[str] = []
        self.error: Exception | None = None

    async def __call__(self, key: str) -> str:
        self.runs.append(CALLER.get())
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return key


async def test_calls_share_a_run_and_none_of_them_owns_it() -> None:
    work = Work()
    flights = SingleFlight(work)
    CALLER.set("the first")
    waiting = [asyncio.create_task(flights.result(key)) for key in ("a", "a", "a", "b")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert work.runs == ["nobody", "nobody"], "one run per key, in no caller's context"
    await cancel(waiting[0])
    work.may_end.set()
    assert await asyncio.gather(*waiting[1:]) == ["a", "a", "b"]
    assert await flights.result("a") == "a"
    assert len(work.runs) == 3, "what has ended is not answered with"


async def test_a_failure_is_everybodys_and_is_not_kept() -> None:
    work = Work()
    work.error = ValueError("no")
    work.may_end.set()
    flights = SingleFlight(work)
    outcomes = await asyncio.gather(*(flights.result("a") for _ in range(2)), return_exceptions=True)
    assert outcomes == [work.error] * 2
    work.error = None
    assert await flights.result("a") == "a"


async def test_runs_are_cancelled_together() -> None:
    work = Work()
    flights = SingleFlight(work)
    waiting = asyncio.create_task(flights.result("a"))
    await asyncio.sleep(0)
    await flights.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    work.may_end.set()
    assert await flights.result("a") == "a", "a run of its own"


async def test_an_event_or_the_time() -> None:
    event = asyncio.Event()
    assert not await wait_for_event(event, 0.001)
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_for_event(event, 10)


async def test_late_work_is_cancelled() -> None:
    done: list[int] = []

    async def work(number: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(number)

    await run_all([work(1, 0), work(2, 60)], seconds=0.05)
    await run_all([])
    assert done == [1]


async def test_the_error_of_a_task_that_ended_by_itself_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise RuntimeError("a fault")

    task = asyncio.create_task(fail(), name="a test")
    await asyncio.wait([task])
    await cancel(task, None)
    assert [record.getMessage() for record in caplog.records] == ["the task a test had ended with an error"]
