"""The calls of this process that wait for operations to end. A notification of the database wakes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

__all__ = ["WAKE_ALL_SECONDS", "Endings"]

WAKE_ALL_SECONDS = 2.0


class Endings:
    """The waiting calls. A woken call reads the operation itself: a notification may be lost, early or forged."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._awaited: dict[str, set[asyncio.Event]] = {}
        self._all_woken = float("-inf")

    def wake(self, payload: str) -> None:
        """Wake the calls that wait for the operation of that id, or all when it is empty: every WAKE_ALL at most, which
        is as often as they look by themselves."""
        if not payload and self._clock() - self._all_woken < WAKE_ALL_SECONDS:
            return
        if not payload:
            self._all_woken = self._clock()
        awaited = [self._awaited.get(payload, set())] if payload else list(self._awaited.values())
        for events in awaited:
            for event in events:
                event.set()

    @contextmanager
    def awaited(self, operation_id: UUID) -> Iterator[asyncio.Event]:
        """Yield an event that is set when the operation may have ended. Read the operation after entering: it may have
        ended before."""
        event, key = asyncio.Event(), str(operation_id)
        self._awaited.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            self._awaited[key].discard(event)
            if not self._awaited[key]:
                del self._awaited[key]
