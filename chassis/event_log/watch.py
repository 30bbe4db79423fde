"""Following a log from any point on: history from the database, then the shared tail.

A stream never holds a transaction while its reader is busy: pages of history are read whole, the rest is memory.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from tenantmesh.chassis.event_log.cursors import SnapshotCursor, StreamCursor
from tenantmesh.chassis.event_log.log import Event, EventLog, cursor_expired
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.interceptors.errors import Aborted, FieldViolation, InvalidArgument

__all__ = ["Change", "Earliest", "FromCursor", "FromNow", "Snapshot", "Start", "Watch"]

_PAGE = 500
_NOBODY = uuid.UUID(int=0)
_E = TypeVar("_E", bound=Event)


@dataclass(frozen=True, slots=True)
class FromNow:
    """Begin with what happens next."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Begin with every tenant as it is now."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """Begin with the oldest event that is kept."""


@dataclass(frozen=True, slots=True)
class FromCursor:
    """Go on after the message that carried this cursor."""

    text: str


Start = FromNow | Snapshot | Earliest | FromCursor


@dataclass(frozen=True, slots=True)
class Change(Generic[_E]):
    """One message of a stream: an event, or (None) that everything up to the cursor has been sent. `caught_up` is said
    with the latter when nothing that has happened is still to come."""

    cursor: str
    event: _E | None
    caught_up: bool = False


class Watch(Generic[_E]):
    """Makes streams. `checkpoint_interval` is how often an idle stream says that it lives."""

    def __init__(self, events: EventLog[_E], tail: Tail[_E], *, checkpoint_interval: timedelta) -> None:
        self._events = events
        self._tail = tail
        self._text = events.cursors.text
        self._checkpoint_interval = checkpoint_interval.total_seconds()

    async def follow(self, start: Start) -> AsyncGenerator[Change[_E], None]:
        """A checkpoint at once, then what happens, without end.

        Raises InvalidArgument for a cursor that is none of ours and OutOfRange `CURSOR_EXPIRED` for one whose events
        are gone, both before the first item; later OutOfRange again, Aborted `WATCH_TOO_SLOW` for a reader that lags
        behind the tail's window, and Unavailable when the database has been silent for too long.
        """
        epoch = self._tail.epoch
        begin = await self._begin(start)
        settled = isinstance(start, FromNow)
        yield Change(self._text(begin), None, caught_up=settled)
        if isinstance(begin, SnapshotCursor):
            async with aclosing(self._snapshot(begin)) as snapshot:
                async for change in snapshot:
                    yield change
        async with aclosing(self._batches(begin.position, epoch, settled=settled)) as batches:
            async for position, events in batches:
                for event in events:
                    yield Change(self._text(StreamCursor(event.position)), event)
                if not events:
                    yield Change(self._text(StreamCursor(position)), None, caught_up=True)

    async def _begin(self, start: Start) -> StreamCursor | SnapshotCursor:
        if self._tail.lost:
            raise self._events.lost()
        match start:
            case FromNow():
                # The log's end and not the tail's, which may lag: what was committed before is not told again.
                return StreamCursor(await self._events.head())
            case Snapshot():
                return SnapshotCursor(await self._events.head(), _NOBODY)
            case Earliest():
                return StreamCursor(await self._events.horizon())
            case FromCursor(text):
                return await self._resume(text)

    async def _resume(self, text: str) -> StreamCursor | SnapshotCursor:
        try:
            cursor = self._events.cursors.open(text)
        except ValueError as error:
            violation = FieldViolation("cursor", "must be the cursor of an earlier message, unchanged")
            raise InvalidArgument.fields([violation]) from error
        position = cursor.position
        if self._tail.floor <= position <= self._tail.head:
            return cursor
        # Ahead of the log is what a database restored from a backup makes of a good cursor: just as useless.
        if not await self._events.horizon() <= position <= await self._events.head():
            raise cursor_expired()
        return cursor

    async def _snapshot(self, begin: SnapshotCursor) -> AsyncGenerator[Change[_E], None]:
        """Those that have not changed since the snapshot's position; the others' events follow anyway, and an older
        state is never sent after a newer one."""
        after = begin.after
        while page := await self._events.snapshot(begin.position, after, _PAGE):
            for event in page:
                after = event.subject
                yield Change(self._text(SnapshotCursor(begin.position, after)), event)

    async def _batches(
        self, position: int, epoch: int, *, settled: bool
    ) -> AsyncGenerator[tuple[int, Sequence[_E]], None]:
        """The events after the position, and the position after them; none when it is time for a checkpoint.

        `epoch` is the tail's at the beginning. `settled` is whether the stream has caught up already; a checkpoint says
        when it does.
        """
        while position < self._tail.floor:
            page = await self._events.after(position, _PAGE)
            if not page:
                raise cursor_expired()  # what was there a moment ago is gone
            position = page[-1].position
            yield position, page
        spoken = time.monotonic()
        while True:
            events = self._next(position, epoch)
            if events:
                position = events[-1].position
            elif settled and time.monotonic() - spoken < self._checkpoint_interval:
                await self._tail.moved(position, self._checkpoint_interval)
                continue
            else:
                settled = True
            yield position, events
            spoken = time.monotonic()

    def _next(self, position: int, epoch: int) -> Sequence[_E]:
        if self._tail.lost:
            raise self._events.lost()
        if self._tail.epoch != epoch:
            raise cursor_expired()
        events = self._tail.since(position)
        if events is None:
            raise Aborted("WATCH_TOO_SLOW", "The stream was read too slowly and was cut. Resume from the last cursor.")
        return events
