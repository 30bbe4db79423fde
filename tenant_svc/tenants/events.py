"""What has happened to tenants, in the order in which it was committed. Here: the events themselves and reading them
from the database; following them as they come is `tail.py` and `watch.py`.

An event's position follows commit order: whoever writes one holds an advisory lock from before the position is drawn
until the transaction is visible (`repository.lock_log`). A reader that has seen a position has therefore seen all
before it, and no event is skipped because its transaction committed late.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Protocol

from interceptors.errors import OutOfRange
from tenant_svc.doors import Doors
from tenant_svc.tenants import repository
from tenant_svc.tenants.tenant import Tenant

__all__ = ["EventReader", "EventType", "StoredEvents", "TenantEvent", "cursor_expired"]


class EventType(Enum):
    """What happened to a tenant. SNAPSHOT is never stored: it is a tenant as it was when a stream began."""

    SNAPSHOT = "SNAPSHOT"
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    SUSPENDED = "SUSPENDED"
    RESUMED = "RESUMED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class TenantEvent:
    """Something that happened, and the tenant after it."""

    position: int
    type: EventType
    tenant: Tenant


class EventReader(Protocol):
    """Where events are read from."""

    async def head(self) -> int:
        """Must return a position that no event of the future precedes, and no event of the past follows."""
        ...

    async def horizon(self) -> int:
        """Must return the position of the last event that is no longer kept, 0 when all are."""
        ...

    async def after(self, position: int, limit: int) -> Sequence[TenantEvent]:
        """Must return the events that follow the position, oldest first, without a gap; empty when there are none.

        Raises OutOfRange `CURSOR_EXPIRED` when some of them are gone.
        """
        ...

    async def snapshot(self, position: int, after: uuid.UUID, limit: int) -> Sequence[Tenant]:
        """Must return, by ascending id from after the given one, tenants that have not changed since the position."""
        ...


class StoredEvents(EventReader):
    """The events in the database, read across tenants through the system door."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def head(self) -> int:
        """See EventReader. One round trip within the transaction."""
        async with self._doors.system("where the tenant event log ends", read_only=True) as connection:
            return await repository.head(connection)

    async def horizon(self) -> int:
        """See EventReader."""
        async with self._doors.system("where the tenant event log begins", read_only=True) as connection:
            return await repository.horizon(connection)

    async def after(self, position: int, limit: int) -> Sequence[TenantEvent]:
        """See EventReader."""
        async with self._doors.system("follow the tenant event log", read_only=True) as connection:
            rows = await repository.events_after(connection, position, limit)
            # The events first, then the horizon: pruning in between may refuse a page that was whole, never pass one
            # with a gap.
            if await repository.horizon(connection) > position:
                raise cursor_expired()
        return [TenantEvent(row["position"], EventType(row["type"]), repository.tenant_of(row)) for row in rows]

    async def snapshot(self, position: int, after: uuid.UUID, limit: int) -> Sequence[Tenant]:
        """See EventReader."""
        async with self._doors.system("snapshot of the tenants for a watch", read_only=True) as connection:
            return await repository.unchanged_since(connection, position, after, limit)

    async def prune(self, keep: timedelta, limit: int) -> int:
        """Forgets the oldest events beyond the time to keep, at most so many; returns how many it forgot.

        Only ever the beginning of the log goes, and the horizon moves in the same transaction. Where another process
        is at it, nothing happens.
        """
        async with self._doors.system("forget old tenant events") as connection:
            if not await repository.try_prune_lock(connection):
                return 0
            through = await repository.last_older_than(connection, keep, limit)
            if through is None:
                return 0
            await repository.move_horizon(connection, through)
            return await repository.delete_through(connection, through)


def cursor_expired() -> OutOfRange:
    """The error for a position whose following events are gone."""
    return OutOfRange(
        "CURSOR_EXPIRED", "The events after this cursor are no longer kept. Start again with `snapshot`, then follow."
    )
