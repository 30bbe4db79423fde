"""Ends calls that must not go on: half-sent ones, those past their policy's deadline, and streams whose credential is
no longer good.

One patrol looks at all calls ten times a second. A timer per call would cost 4 µs; this costs a dictionary entry.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.errors import DeadlineExceeded, MeshError, Unavailable

__all__ = ["AioWatchdog", "ThreadWatchdog"]

INTERVAL = 0.1
RECHECK = 2.0
"""Seconds between two looks at the credential of an open stream. The look itself is shared and remembered."""


class _Watchdog:
    def __init__(self) -> None:
        self.calls: dict[Call, Callable[[], object]] = {}
        """How to end each call in progress. Whoever serves a call adds it and takes it out."""

    def look(self) -> None:
        """Ends what is overdue and has credentials looked at."""
        now = time.monotonic()
        for call in list(self.calls):
            if call.cancel_at <= now:
                self._end(call, overdue())
            elif call.recheck is not None and call.recheck_at <= now:
                call.recheck_at = now + RECHECK
                self._spawn(self._recheck(call, call.recheck))

    async def _recheck(self, call: Call, recheck: Callable[[Call], Coroutine[Any, Any, None]]) -> None:
        try:
            await recheck(call)
        except Unavailable:
            return  # who verifies is away; the next look will tell
        except MeshError as error:
            self._end(call, error)

    def _end(self, call: Call, error: MeshError) -> None:
        end = self.calls.pop(call, None)
        if end is not None:
            call.ended_by = error
            end()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        raise NotImplementedError


class AioWatchdog(_Watchdog):
    """On the loop that serves. Rests while no call is in progress, so that nothing outlives the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._patrol: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Begins the patrol, unless it is under way."""
        if self._patrol is None or self._patrol.done():
            self._patrol = asyncio.get_running_loop().create_task(self._walk(), name="tenantmesh-watchdog")

    async def _walk(self) -> None:
        while self.calls:
            await asyncio.sleep(INTERVAL)
            self.look()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        look = asyncio.get_running_loop().create_task(coroutine)
        self._looks.add(look)
        look.add_done_callback(self._looks.discard)


class ThreadWatchdog(_Watchdog):
    """In a thread of its own; credentials are looked at on the chain's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._walk, name="tenantmesh-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def _walk(self) -> None:
        while not self._stop.wait(INTERVAL):
            with contextlib.suppress(RuntimeError):  # a call came or went while they were listed
                self.look()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)


def overdue() -> DeadlineExceeded:
    """The refusal of a call that took too long."""
    return DeadlineExceeded("DEADLINE_EXCEEDED", "The call took longer than it may. Retry, or ask for less at a time.")
