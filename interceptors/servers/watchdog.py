"""Ends calls that must not go on: half-sent ones, those past their policy's deadline, streams whose credential is no
longer valid or whose tenant is no longer served, and watches that have lasted as long as they may or whose server
stops.

One patrol checks all calls ten times a second. A timer per call would cost 4 µs; this costs a dictionary entry.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import math
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from tenantmesh.interceptors.errors import DeadlineExceeded, MeshError, Unavailable
from tenantmesh.interceptors.passage import Passage, Recheck, caused_by

__all__ = ["AioWatchdog", "ThreadWatchdog"]

_log = logging.getLogger("tenantmesh.error")
INTERVAL = 0.1
LAST_MESSAGE = 2.0
"""Seconds in which a watch may send its last message before it is ended without."""


class _Watchdog:
    def __init__(self, longest_watch: float = math.inf) -> None:
        self._longest_watch = longest_watch
        self.calls: dict[Passage, Callable[[], object]] = {}
        """How to end each call in progress. The adapter that serves a call adds and removes it."""

    def patrol(self) -> None:
        """End calls that are overdue, and begin the checks of streams that are due."""
        now = time.monotonic()
        for call in list(self.calls):
            if call.cancel_at <= now:
                self._end(call, call.ended_by or overdue())
            elif call.watch is not None and now - call.watch.began > self._longest_watch * call.watch.share:
                self._end(call, stream_ended("the longest time of a stream is over"))
            else:
                self._look_again(call, now)

    def _look_again(self, call: Passage, now: float) -> None:
        for recheck in call.rechecks:
            if recheck.due_at <= now:
                recheck.due_at = now + recheck.every
                if not recheck.unchanged(call):
                    self._spawn(self._recheck(call, recheck))

    def end_watches(self) -> None:
        """End the open watches: the server is about to stop."""
        for call in list(self.calls):
            if call.watch is not None:
                self._end(call, stream_ended("the server stops"))

    async def _recheck(self, call: Passage, recheck: Recheck) -> None:
        caused_by.set(call)  # in the context of this check alone
        try:
            await recheck.check(call)
        except Unavailable:
            return  # the verifier is away; the next check decides
        except MeshError as error:
            self._end(call, error)

    def _end(self, call: Passage, error: MeshError) -> None:
        end = self.calls.get(call)
        if end is None:
            return
        in_its_last_message = call.ended_by is not None
        if not in_its_last_message:
            call.ended_by = error
            if call.watch is not None and not call.watch.resting:
                # A cancelled write can't be followed by another message: let this one be sent first.
                call.cancel_at, call.rechecks, call.watch = time.monotonic() + LAST_MESSAGE, (), None
                return
        self.calls.pop(call, None)
        end()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        raise NotImplementedError


class AioWatchdog(_Watchdog):
    """Runs on the loop that serves. Rests while no call is in progress, so that nothing outlives the loop."""

    def __init__(self, longest_watch: float) -> None:
        super().__init__(longest_watch)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._walking: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Task[None]] = set()

    def watch(self, call: Passage) -> None:
        """Add a call that this task serves: gRPC runs each in one of its own."""
        if not self.calls:
            self._begin_patrol()
        task: Any = asyncio.current_task(self._loop)  # to find the loop again costs a system call
        self.calls[call] = task.cancel

    def _begin_patrol(self) -> None:
        if self._walking is None or self._walking.done():
            self._loop = asyncio.get_running_loop()
            # In a context of its own: the patrol outlives the call that begins it.
            context = contextvars.Context()
            self._walking = self._loop.create_task(self._walk(), name="tenantmesh-watchdog", context=context)

    async def _walk(self) -> None:
        while self.calls:
            await asyncio.sleep(INTERVAL)
            try:
                self.patrol()
            except Exception:  # it goes on: nothing else ends the calls in progress
                _log.exception("a patrol of the calls in progress failed")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        check = asyncio.get_running_loop().create_task(coroutine)
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)


class ThreadWatchdog(_Watchdog):
    """Runs in a thread of its own; credentials are checked on the chain's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._walk, name="tenantmesh-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _walk(self) -> None:
        while not self._stop.wait(INTERVAL):
            with contextlib.suppress(RuntimeError):  # a call came or went while they were listed
                self.patrol()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)


def stream_ended(why: str) -> Unavailable:
    """Return the end of a watch that nothing is wrong with."""
    return Unavailable("STREAM_ENDED", f"The stream ends: {why}. Reconnect, and resume from the last cursor.")


def overdue() -> DeadlineExceeded:
    """Return the refusal of a call that took too long."""
    return DeadlineExceeded("DEADLINE_EXCEEDED", "The call exceeded its deadline. Retry, or ask for less at a time.")
