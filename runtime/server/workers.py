"""Several worker processes of one service: started, watched, started again when they crash, stopped together.

Each worker is this program again, told by TENANTMESH_SERVER_WORKER which one it is, listening on a port of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import structlog

from tenantmesh.runtime.settings import ENVIRONMENT_PREFIX

__all__ = ["REFUSED", "run_workers"]

REFUSED = 78
"""Exit status of a process that must not serve as it is configured (EX_CONFIG): starting it again changes nothing."""

_VARIABLE = f"{ENVIRONMENT_PREFIX}SERVER_WORKER"
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0  # a worker that lived this long crashed for a new reason

_log = structlog.get_logger()


def run_workers(count: int) -> int:
    """Keep `count` workers until SIGTERM or SIGINT, and return the exit status."""
    return asyncio.run(_Workers([sys.executable, *sys.orig_argv[1:]]).run(count))


class _Workers:
    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._processes: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._status = 0

    async def run(self, count: int) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        await asyncio.gather(*(self._keep(worker) for worker in range(count)))
        return self._status

    async def _keep(self, worker: int) -> None:
        pause, ever_served = _FIRST_PAUSE_SECONDS, False
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            status = await self._run_once(worker)
            if self._stopping.is_set():
                return
            lived = asyncio.get_running_loop().time() - began
            if status == REFUSED and not ever_served:
                self._status = REFUSED
                self._stop()
                return
            ever_served = ever_served or status != REFUSED
            pause = _FIRST_PAUSE_SECONDS if lived > _HEALTHY_SECONDS else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            _log.error("worker ended, starting it again", worker=worker, status=status, pause_seconds=pause)
            await self._pause(pause)

    async def _run_once(self, worker: int) -> int:
        # In a session of its own, so that Ctrl-C reaches the parent only; the pipe tells it when the parent is gone.
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, env={**os.environ, _VARIABLE: str(worker)}, start_new_session=True
        )
        self._processes[worker] = process
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._processes[worker]

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    def _stop(self) -> None:
        self._stopping.set()
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.terminate()
