"""The calls of this process that wait for operations to end. A notification of the database wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

__all__ = ["Endings"]


class Endings:
    """The waiting calls. A woken call reads the operation itself: a notification may be lost, or come early."""

    def __init__(self) -> None:
        self._awaited: dict[str, set[asyncio.Event]] = {}

    def wake(self, payload: str) -> None:
        """Wake the calls that wait for the operation of that id, or all when it is empty."""
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
