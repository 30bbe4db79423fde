"""The port of an event log: events in the order in which they were committed.

Positions follow commit order: a writer holds an advisory lock from before it draws a position until its transaction is
visible. A reader that has seen a position has therefore seen every earlier one. No event is skipped because its
transaction committed late.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from tenantmesh.chassis.event_log.cursor_text import Cursors
from tenantmesh.interceptors.errors import OutOfRange, Unavailable

__all__ = ["Event", "EventLog", "Prunable", "cursor_expired"]


class Event(Protocol):
    """One event of a log, or the state of one subject in a snapshot."""

    @property
    def position(self) -> int:
        """The event's position in the log; in a snapshot, the position of the snapshot."""
        ...

    @property
    def subject(self) -> uuid.UUID:
        """The id of what the event is about. Snapshots are in the order of these ids."""
        ...


E_co = TypeVar("E_co", bound=Event, covariant=True)


class EventLog(Protocol[E_co]):
    """Reads the events of one log. Every method raises Unavailable while the log can't be read."""

    @property
    def name(self) -> str:
        """The log's name in messages for operators."""
        ...

    @property
    def cursors(self) -> Cursors:
        """The cursors of this log."""
        ...

    def lost(self) -> Unavailable:
        """Must return the error that ends streams when the log could not be read for too long."""
        ...

    async def head(self) -> int:
        """Must return the log's end: every committed event is at or before it, every later one after it."""
        ...

    async def horizon(self) -> int:
        """Must return the position of the newest event that was pruned; 0 when every event is kept."""
        ...

    async def after(self, position: int, limit: int) -> Sequence[E_co]:
        """Must return up to `limit` events after the position, oldest first, without a gap.

        Must raise OutOfRange `CURSOR_EXPIRED` when some of them were pruned.
        """
        ...

    async def snapshot(self, position: int, after: uuid.UUID, limit: int) -> Sequence[E_co]:
        """Must return the state of the subjects that have not changed since the position, each as an event at it: up
        to `limit` subjects after the given one, in ascending order."""
        ...


class Prunable(Protocol):
    """A log whose oldest events can be deleted."""

    @property
    def name(self) -> str:
        """As `EventLog.name`."""
        ...

    async def prune(self, keep: timedelta, limit: int) -> int:
        """Must delete up to `limit` events that are older than `keep`, oldest first, and return their number."""
        ...


def cursor_expired() -> OutOfRange:
    """Return the error for a position after which events were pruned."""
    return OutOfRange(
        "CURSOR_EXPIRED", "The events after this cursor are no longer kept. Start again with `snapshot`, then follow."
    )
