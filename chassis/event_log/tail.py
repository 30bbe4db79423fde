"""The newest part of the event log, kept in memory by one task that reads the database for every stream of the process.

Streams hold no queue of their own: each has a position in this one bounded window. A reader whose position has fallen
out of it is too slow, and nothing was buffered for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from operator import attrgetter
from typing import Generic, TypeVar

from tenantmesh.chassis.event_log.log import Event, EventLog, cursor_expired
from tenantmesh.interceptors.errors import OutOfRange, Unavailable
from tenantmesh.interceptors.tasks import cancel, wait_for_event

__all__ = ["Tail"]

_log = logging.getLogger("tenantmesh.events")
_BATCH = 500
_by_position = attrgetter("position")
_E = TypeVar("_E", bound=Event)


class Tail(Generic[_E]):
    """Follows the event log; `wake` makes it look at once, otherwise it looks every `poll_interval`.

    `window` is how many events it remembers; `lost_after` how long the database may be silent before streams are told.
    """

    def __init__(
        self,
        events: EventLog[_E],
        *,
        window: int = 10_000,
        poll_interval: timedelta = timedelta(seconds=2),
        lost_after: timedelta = timedelta(seconds=5),
    ) -> None:
        self._events = events
        self._window = window
        self._poll_interval = poll_interval.total_seconds()
        self._lost_after = lost_after.total_seconds()
        self._recent: list[_E] = []
        self._wake = asyncio.Event()
        self._pulse = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.floor = 0
        """The window holds every event after this position …"""
        self.head = 0
        """… up to this one."""
        self.heard = 0.0
        """When the database last answered, on the monotonic clock."""
        self.epoch = 0
        """Changes when the log has gone on without us: positions from before are good for nothing."""

    async def start(self) -> None:
        """Finds where the log ends and follows it from there. Raises Unavailable without a database."""
        self.floor = self.head = await self._events.head()
        self.heard = time.monotonic()
        self._task = asyncio.create_task(self._follow(), name=f"{self._events.name}-event-tail")

    async def close(self) -> None:
        """Stops following. Streams that wait stay as they are; end them first."""
        await cancel(self._task)

    def wake(self) -> None:
        """Something may have happened: look now."""
        self._wake.set()

    @property
    def lost(self) -> bool:
        """Whether the database has been silent for so long that what is here may be out of date."""
        return time.monotonic() - self.heard > self._lost_after

    def since(self, position: int, limit: int = _BATCH) -> Sequence[_E] | None:
        """The events after the position, oldest first; None when they have left the window."""
        if position < self.floor:
            return None
        start = bisect_right(self._recent, position, key=_by_position)
        return self._recent[start : start + limit]

    async def moved(self, position: int, seconds: float) -> None:
        """Returns when there may be more than the position, when contact is lost or found, or after the time given."""
        pulse = self._pulse
        if self.head <= position:
            await wait_for_event(pulse, seconds)

    async def _follow(self) -> None:
        while True:
            more = False
            try:
                more = await self._read()
            except OutOfRange:
                await self._skip()
            except Unavailable as error:
                _log.warning("the %s event log can't be read: %s", self._events.name, error.__cause__)
            except Exception:
                _log.exception("the %s event log can't be read", self._events.name)
            if self.lost:
                self._tell()
            if not more:
                await wait_for_event(self._wake, self._poll_interval)

    async def _read(self) -> bool:
        self._wake.clear()  # before reading: what happens during the read wakes us again
        page = await self._events.after(self.head, _BATCH)
        if not page and await self._events.head() < self.head:
            raise cursor_expired()  # the database was put back to an earlier state: what we hold never happened
        was_lost = self.lost
        self.heard = time.monotonic()
        if page:
            self._recent.extend(page)
            self.head = page[-1].position
            self._trim()
        if page or was_lost:
            self._tell()
        return len(page) == _BATCH

    async def _skip(self) -> None:
        """Begins anew where the log now ends: events we had yet to see are gone, or some we have seen never were."""
        with suppress(Unavailable):
            self.floor = self.head = await self._events.head()
            self.heard = time.monotonic()
            self.epoch += 1
            self._recent.clear()
            self._tell()

    def _trim(self) -> None:
        if len(self._recent) > 2 * self._window:  # in halves, so that the cost of moving is spread thin
            cut = len(self._recent) - self._window
            self.floor = self._recent[cut - 1].position
            del self._recent[:cut]

    def _tell(self) -> None:
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()
