"""What can be followed: a log of events in the order in which they were committed.

An event's position follows commit order: whoever writes one holds an advisory lock from before the position is drawn
until the transaction is visible. A reader that has seen a position has therefore seen all before it, and no event is
skipped because its transaction committed late.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from tenantmesh.chassis.event_log.cursors import Cursors
from tenantmesh.interceptors.errors import OutOfRange, Unavailable

__all__ = ["Event", "EventLog", "Prunable", "cursor_expired"]


class Event(Protocol):
    """Something that happened."""

    @property
    def position(self) -> int:
        """Where it stands in the log; of a snapshot, the position that it is as of."""
        ...

    @property
    def subject(self) -> uuid.UUID:
        """What it happened to: snapshots are read in the order of these."""
        ...


E_co = TypeVar("E_co", bound=Event, covariant=True)


class EventLog(Protocol[E_co]):
    """Where events are read from. All methods raise Unavailable while that can't be done."""

    @property
    def name(self) -> str:
        """Which log it is, for the operators' log."""
        ...

    @property
    def cursors(self) -> Cursors:
        """How callers see positions of this log, and of no other."""
        ...

    def lost(self) -> Unavailable:
        """The error for a reader when the log has been silent for too long."""
        ...

    async def head(self) -> int:
        """Must return a position that no event of the future precedes, and no event of the past follows."""
        ...

    async def horizon(self) -> int:
        """Must return the position of the last event that is no longer kept, 0 when all are."""
        ...

    async def after(self, position: int, limit: int) -> Sequence[E_co]:
        """Must return the events that follow the position, oldest first, without a gap; empty when there are none.

        Raises OutOfRange `CURSOR_EXPIRED` when some of them are gone.
        """
        ...

    async def snapshot(self, position: int, after: uuid.UUID, limit: int) -> Sequence[E_co]:
        """Must return, by ascending subject from after the given one, how those are that have not changed since the
        position, each as an event at that position."""
        ...


class Prunable(Protocol):
    """A log whose beginning can be forgotten."""

    @property
    def name(self) -> str:
        """See EventLog."""
        ...

    async def prune(self, keep: timedelta, limit: int) -> int:
        """Must forget the oldest events beyond the time to keep, at most so many, and return how many it forgot."""
        ...


def cursor_expired() -> OutOfRange:
    """The error for a position whose following events are gone."""
    return OutOfRange(
        "CURSOR_EXPIRED", "The events after this cursor are no longer kept. Start again with `snapshot`, then follow."
    )
