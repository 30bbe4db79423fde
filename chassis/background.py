"""Background loops: a piece of work that every process of a service repeats for as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

import structlog

from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tasks import cancel, wait_for_event

__all__ = ["Background", "Repeating"]

_log = structlog.get_logger("tenantmesh.background")


class Background(Protocol):
    """A part of a process that runs beside its calls."""

    async def start(self) -> None:
        """Must start the part. Must raise an error when the process must not serve."""
        ...

    async def close(self) -> None:
        """Must stop the part, even when it was never started."""
        ...


class Repeating:
    """A loop that repeats `work`: at once while it returns a number other than 0, else after `interval` or when woken.

    After a failure the loop waits the whole interval, so that it does not retry a broken dependency at once. It logs
    the first Unavailable in a row, and every other error with its traceback. With `later` the first run waits an
    interval too.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[int]], interval: timedelta, *, later: bool = False
    ) -> None:
        self._name = name
        self._work = work
        self._interval = interval.total_seconds()
        self._later = later
        self._wake = asyncio.Event()
        self._unavailable = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the loop in a task of its own. Raises RuntimeError when it has been started before."""
        if self._task is not None:
            raise RuntimeError(f"{self._name} is started a second time")
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self) -> None:
        """Cancel the loop and wait for its end. A transaction under way is rolled back."""
        await cancel(self._task)

    def wake(self) -> None:
        """Run the work now instead of after the interval."""
        self._wake.set()

    async def _run(self) -> None:
        if self._later:
            await wait_for_event(self._wake, self._interval)
        while True:
            self._wake.clear()  # before the work, so that a wake-up during it causes another run
            try:
                more = await self._work()
            except Unavailable as error:
                if not self._unavailable:
                    _log.warning("background work waits", work=self._name, reason=error.message)
                self._unavailable = True
                await asyncio.sleep(self._interval)
            except asyncio.CancelledError as error:
                if _cancelled_from_outside():
                    raise
                # Something that the work waited for was cancelled, such as a call on a channel that was closed.
                _log.exception("background work failed", work=self._name, exc_info=error)
                await asyncio.sleep(self._interval)
            except Exception:
                _log.exception("background work failed", work=self._name)
                await asyncio.sleep(self._interval)
            else:
                self._unavailable = False
                if not more:
                    await wait_for_event(self._wake, self._interval)


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
