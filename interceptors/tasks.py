"""Tasks that belong to no single call: work that several calls share, and work that runs until it is stopped."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from tenantmesh.interceptors.passage import caused_by, current

__all__ = ["SingleFlight", "cancel", "run_all", "shared_task", "wait_for_event"]

_log = logging.getLogger("tenantmesh.error")
K = TypeVar("K")
T = TypeVar("T")


def shared_task(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start work that several calls wait for, in a context that holds nothing but the call that caused it.

    In a copy of the first call's context it would end with that call's deadline. What it asks of others belongs to that
    call's trace.
    """
    context = contextvars.Context()
    call = current.get(None) or caused_by.get(None)
    if call is not None:
        context.run(caused_by.set, call)
    return asyncio.create_task(work, context=context)


class SingleFlight(Generic[K, T]):
    """At most one run of `work` per key at a time. Calls that ask during a run share its result."""

    def __init__(self, work: Callable[[K], Coroutine[Any, Any, T]]) -> None:
        self._work = work
        self._running: dict[K, asyncio.Task[T]] = {}

    async def result(self, key: K) -> T:
        """Return the result for the key, from the run under way or from a new one."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = shared_task(self._run(key))
            task.add_done_callback(_retrieve)
        # Shielded: the cancellation of one call must not reach the others.
        return await asyncio.shield(task)

    async def _run(self, key: K) -> T:
        try:
            return await self._work(key)
        finally:
            self._running.pop(key, None)

    async def cancel(self) -> None:
        """Cancel every run, and wait until all have ended."""
        await cancel(*self._running.values())
        self._running.clear()


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Mark the exception as retrieved, so that asyncio does not log it when every waiting call has left."""
    if not task.cancelled():
        task.exception()


async def cancel(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel the tasks and wait for their end. Log an error that ended one before, which nobody else sees."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    for task, outcome in zip(running, await asyncio.gather(*running, return_exceptions=True), strict=True):
        if isinstance(outcome, Exception):
            _log.error("the task %s had ended with an error", task.get_name(), exc_info=outcome)


async def run_all(work: Iterable[Coroutine[Any, Any, None]], seconds: float | None = None) -> None:
    """Run all coroutines at once. Cancel those that take longer than so many seconds."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=seconds)
        await cancel(*late)


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most so many seconds. Return whether it is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
