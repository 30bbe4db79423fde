"""The calls of this process that wait for operations, and waking them when the database notifies an end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

__all__ = ["Endings"]


class Endings:
    """Wakes those who wait. They then look for themselves: a notification may be lost, or come early."""

    def __init__(self) -> None:
        self._awaited: dict[str, set[asyncio.Event]] = {}

    def wake(self, payload: str) -> None:
        """Wakes those who wait for the operation of that id; everybody when it is empty."""
        awaited = [self._awaited.get(payload, set())] if payload else list(self._awaited.values())
        for events in awaited:
            for event in events:
                event.set()

    @contextmanager
    def awaited(self, operation_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set when the operation may have ended. Look once after entering: it may have before."""
        event, key = asyncio.Event(), str(operation_id)
        self._awaited.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            self._awaited[key].discard(event)
            if not self._awaited[key]:
                del self._awaited[key]
