"""The newest events of a log in memory. One task reads the database for every stream of the process.

A stream has no queue of its own, only a position in this bounded window. A stream whose position has left the window is
too slow and ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_right
from collections.abc import Sequence
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
    """Follows the event log: reads it when woken, and every `poll_interval`.

    window: events to keep in memory. Up to twice as many are there between two trims.
    lost_after: how long the database may be silent before streams end.
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
        """The position before the window: it holds every later event up to `head`."""
        self.head = 0
        """The position of the newest event in the window."""
        self.heard = 0.0
        """When the database last answered, on the monotonic clock."""
        self.begun = 0
        """The number of reads that were begun."""
        self.complete = 0
        """The number of the last read that reached the log's end: all that was committed before it began is here."""
        self._asked: int | None = None
        self.epoch = 0
        """Counts restarts of the window at the log's end. A stream of an earlier epoch may have missed events."""

    async def start(self) -> None:
        """Start to follow the log from its end. Raises Unavailable without a database."""
        self.floor = self.head = await self._events.head()
        self.heard = time.monotonic()
        self._task = asyncio.create_task(self._follow(), name=f"{self._events.name}-event-tail")

    async def close(self) -> None:
        """Stop following. End waiting streams first: this does not wake them."""
        await cancel(self._task)

    def wake(self) -> None:
        """Read the log now: there may be a new event."""
        self._wake.set()

    def ask(self) -> int:
        """Read the log now. Return the number above which `complete` is once all that is committed now has been read.

        Streams that wait are woken then, also when nothing new was found.
        """
        self._asked = self.begun
        self._wake.set()
        return self.begun

    @property
    def lost(self) -> bool:
        """True when the database has been silent for longer than `lost_after`: the window may be out of date."""
        return time.monotonic() - self.heard > self._lost_after

    def since(self, position: int, limit: int = _BATCH) -> Sequence[_E] | None:
        """Return up to `limit` events after the position, oldest first; None when some have left the window."""
        if position < self.floor:
            return None
        start = bisect_right(self._recent, position, key=_by_position)
        return self._recent[start : start + limit]

    async def moved(self, position: int, seconds: float) -> None:
        """Wait until there may be events after the position, contact is lost or found, or the time is over."""
        pulse = self._pulse
        if self.head <= position:
            await wait_for_event(pulse, seconds)

    async def _follow(self) -> None:
        while True:
            more = False
            try:
                more = await self._read()
            except Unavailable as error:
                _log.warning("the %s event log can't be read: %s", self._events.name, error.__cause__)
            except Exception:
                _log.exception("the %s event log can't be read", self._events.name)
            if self.lost:
                self._notify()
            if not more:
                await wait_for_event(self._wake, self._poll_interval)

    async def _read(self) -> bool:
        """Read on, and return whether there may be more."""
        self._wake.clear()  # before the read, so that a wake-up during it causes another read
        self.begun += 1
        try:
            return await self._read_page()
        except OutOfRange:
            await self._skip()
            return False

    async def _read_page(self) -> bool:
        page = await self._events.after(self.head, _BATCH)
        if not page and await self._events.head() < self.head:
            raise cursor_expired()  # the database was restored to an earlier state, which lacks the window's events
        was_lost = self.lost
        self.heard = time.monotonic()
        if page:
            self._recent.extend(page)
            self.head = page[-1].position
            self._trim()
        more = len(page) == _BATCH
        if not more:
            self.complete = self.begun
        if page or was_lost or self._answered():
            self._notify()
        return more

    def _answered(self) -> bool:
        """Return whether this read is the answer to `ask`, once."""
        answered = self._asked is not None and self.complete > self._asked
        if answered:
            self._asked = None
        return answered

    async def _skip(self) -> None:
        """Restart the window at the log's end: unread events were pruned, or the database was restored."""
        self.floor = self.head = await self._events.head()
        self.heard = time.monotonic()
        self.epoch += 1
        self.complete = self.begun
        self._recent.clear()
        self._notify()

    def _trim(self) -> None:
        if len(self._recent) > 2 * self._window:  # many at once, since each trim moves all that remain
            cut = len(self._recent) - self._window
            self.floor = self._recent[cut - 1].position
            del self._recent[:cut]

    def _notify(self) -> None:
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()
