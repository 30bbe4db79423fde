"""The life of a worker process: start, take jobs until a signal, finish the running jobs, close.

After a second signal it does not wait for the running jobs. Another worker takes them again.
"""

from __future__ import annotations

import asyncio
import signal
import traceback
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Protocol

import structlog
import uvloop

from tenantmesh.chassis.jobs.queue import JobQueue
from tenantmesh.runtime.server import REFUSED
from tenantmesh.runtime.telemetry import Telemetry

__all__ = ["run"]

_log = structlog.get_logger()


class Worker(Protocol):
    """The parts of a worker, made but not started."""

    @property
    def queue(self) -> JobQueue:
        """The queue that its jobs come from."""
        ...

    async def start(self) -> None:
        """Must open the worker's connections and start. Must raise when the process must not work."""
        ...

    async def close(self) -> None:
        """Must close every part, even those that were never started."""
        ...


def run(app: Worker, telemetry: Telemetry, grace: timedelta) -> int:
    """Run the worker until SIGTERM or SIGINT. Return the exit status: 0, or REFUSED when it must not work. Running jobs
    get `grace` to end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Process(app, telemetry, grace.total_seconds()).run())


class _Process:
    def __init__(self, app: Worker, telemetry: Telemetry, grace: float) -> None:
        self._app = app
        self._telemetry = telemetry
        self._grace = grace
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self) -> int:
        """Run the worker until a signal."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self._app.close)
            opened.callback(self._telemetry.close)
            try:
                await self._app.start()
                self._telemetry.open()  # last: metrics that can be read show that the worker has started
            except Exception as error:  # every cause is reported in the same way
                where = traceback.extract_tb(error.__traceback__)[-1]
                at = f"{where.filename}:{where.lineno}"
                _log.error("refusing to work", reason=str(error), kind=type(error).__name__, where=at)
                return REFUSED
            _log.info("working")
            await self._stop.wait()
            await self._drain()
        _log.info("stopped")
        return 0

    async def _drain(self) -> None:
        queue = self._app.queue
        _log.info("draining", running=queue.running)
        queue.stop()
        finished = asyncio.create_task(queue.finished())
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({finished, hurry}, timeout=self._grace, return_when=asyncio.FIRST_COMPLETED)
        for task in (finished, hurry):
            task.cancel()

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()
