"""Streams of an event log from any position on: history from the database, then the shared tail.

A stream holds no transaction while its reader is busy: it reads whole pages of history, and newer events from memory.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from tenantmesh.chassis.event_log.cursor_text import SnapshotCursor, StreamCursor
from tenantmesh.chassis.event_log.log import Event, EventLog, cursor_expired
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.interceptors.errors import Aborted, FieldViolation, InvalidArgument

__all__ = ["PAGE", "Change", "Earliest", "FromCursor", "FromNow", "Snapshot", "Start", "Watch"]

PAGE = 500
"""Events or subjects that a stream reads at a time: as many are in memory while its reader is busy."""
_BEFORE_ALL = uuid.UUID(int=0)
_E = TypeVar("_E", bound=Event)


@dataclass(frozen=True, slots=True)
class FromNow:
    """Begin with the next event."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Begin with the current state of every subject."""


@dataclass(frozen=True, slots=True)
class Earliest:
    """Begin with the oldest event that is kept."""


@dataclass(frozen=True, slots=True)
class FromCursor:
    """Resume after the message that carried this cursor."""

    text: str


Start = FromNow | Snapshot | Earliest | FromCursor


@dataclass(frozen=True, slots=True)
class Change(Generic[_E]):
    """One message of a stream: an event, or a checkpoint (`event` is None): everything up to the cursor has been sent.
    `caught_up` is True on checkpoints once every committed event has been sent."""

    cursor: str
    event: _E | None
    caught_up: bool = False


class Watch(Generic[_E]):
    """Makes streams. An idle stream sends a checkpoint every `checkpoint_interval` of the monotonic `clock`."""

    def __init__(
        self,
        events: EventLog[_E],
        tail: Tail[_E],
        *,
        checkpoint_interval: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events = events
        self._tail = tail
        self._text = events.cursors.text
        self._checkpoint_interval = checkpoint_interval.total_seconds()
        self._clock = clock

    async def follow(self, start: Start) -> AsyncGenerator[Change[_E], None]:
        """Yield a checkpoint at once, then events and checkpoints without end.

        Before the first item, raises InvalidArgument for a text that is no cursor of this log, and OutOfRange
        `CURSOR_EXPIRED` for a cursor whose events were pruned. Later, raises OutOfRange again, Aborted
        `WATCH_TOO_SLOW` for a reader that has left the tail's window, and Unavailable when the log is lost.
        """
        epoch = self._tail.epoch
        begin = await self._begin(start)
        caught_up = isinstance(start, FromNow)
        yield Change(self._text(begin), None, caught_up=caught_up)
        if isinstance(begin, SnapshotCursor):
            async with aclosing(self._snapshot(begin)) as snapshot:
                async for change in snapshot:
                    yield change
        # The tail may lag: what was committed before the stream began must not come after `caught_up`.
        behind = None if caught_up else self._tail.ask()
        async with aclosing(self._batches(begin.position, epoch, behind)) as batches:
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
                # The log's own end, since the tail's may lag: events that were committed before are not sent.
                return StreamCursor(await self._events.head())
            case Snapshot():
                return SnapshotCursor(await self._events.head(), _BEFORE_ALL)
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
        # A cursor ahead of the log is of a time before the database was restored: as useless as an expired one.
        if not await self._events.horizon() <= position <= await self._events.head():
            raise cursor_expired()
        return cursor

    async def _snapshot(self, begin: SnapshotCursor) -> AsyncGenerator[Change[_E], None]:
        """Yield the subjects that have not changed since the snapshot's position. The events of the others follow, so
        that an older state never comes after a newer one."""
        after = begin.after
        while page := await self._events.snapshot(begin.position, after, PAGE):
            for event in page:
                after = event.subject
                yield Change(self._text(SnapshotCursor(begin.position, after)), event)

    async def _batches(
        self, position: int, epoch: int, behind: int | None
    ) -> AsyncGenerator[tuple[int, Sequence[_E]], None]:
        """Yield the events after the position, with the position of the last one; no events when a checkpoint is due.

        `epoch` is the tail's at the beginning. A stream that is `behind` a read of the tail catches up with it: a
        checkpoint is due when all that the next one found has been sent. None for a stream that has caught up.
        """
        while position < self._tail.floor:
            page = await self._events.after(position, PAGE)
            if not page:
                raise cursor_expired()  # the events before the window are gone meanwhile
            position = page[-1].position
            yield position, page
        due = self._clock() + self._checkpoint_interval
        while True:
            events = self._next(position, epoch)
            if events:
                position = events[-1].position
            elif behind is not None and self._tail.complete <= behind:
                await self._tail.moved(position, self._checkpoint_interval)
                continue
            elif behind is None and (left := due - self._clock()) > 0:
                # Only the rest: a wait ends early when the tail moves, and may end a hair before its time.
                await self._tail.moved(position, left)
                continue
            else:
                behind = None
            yield position, events
            due = self._clock() + self._checkpoint_interval

    def _next(self, position: int, epoch: int) -> Sequence[_E]:
        if self._tail.lost:
            raise self._events.lost()
        if self._tail.epoch != epoch:
            raise cursor_expired()
        events = self._tail.since(position)
        if events is None:
            raise Aborted("WATCH_TOO_SLOW", "The stream was read too slowly and was cut. Resume from the last cursor.")
        return events
