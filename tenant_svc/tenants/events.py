"""The log of tenants' events, as `chassis.event_log` follows it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.cursor_text import Cursors
from tenantmesh.chassis.event_log.log import EventLog, cursor_expired
from tenantmesh.chassis.locks import try_hold
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime import locks
from tenantmesh.runtime.database import Record
from tenantmesh.tenant_svc.followers import FOLLOWERS
from tenantmesh.tenant_svc.tenants import directory_repository, events_repository
from tenantmesh.tenant_svc.tenants.name_change import NameChange
from tenantmesh.tenant_svc.tenants.rows import tenant_of
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["CURSORS", "EventType", "StoredTenantEvents", "TenantEvent"]

CURSORS = Cursors(stream=b"tm.watch", snapshot=b"tm.snap")


class EventType(Enum):
    """The types of events. SNAPSHOT is never stored: it is the tenant's state when a stream began. PURGED is stored as
    a tombstone, which has the tenant's id alone. Those of names are stored in the column of the change.
    """

    SNAPSHOT = "SNAPSHOT"
    CREATED = "CREATED"
    UPDATED = "UPDATED"
    SUSPENDED = "SUSPENDED"
    RESUMED = "RESUMED"
    DELETED = "DELETED"
    UNDELETED = "UNDELETED"
    PURGED = "PURGED"
    LOGIN_HOST_CHANGED = "LOGIN_HOST_CHANGED"
    EMAIL_DOMAIN_CHANGED = "EMAIL_DOMAIN_CHANGED"


@dataclass(frozen=True, slots=True)
class TenantEvent:
    """An event, with the tenant's state after it. `name_change` is what has happened to one of its names."""

    position: int
    type: EventType
    tenant: Tenant
    name_change: NameChange | None = None

    @property
    def subject(self) -> uuid.UUID:
        """The tenant's id."""
        return self.tenant.id


class StoredTenantEvents(EventLog[TenantEvent]):
    """The events in the database, read across tenants through the system door."""

    name = "tenant"
    cursors = CURSORS

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def lost(self) -> Unavailable:
        """See EventLog."""
        return Unavailable(
            "TENANT_DIRECTORY_UNAVAILABLE",
            "Changes of tenants can't be read at the moment. Resume from the last cursor, with backoff.",
            retry_after=timedelta(seconds=1),
        )

    async def head(self) -> int:
        """See EventLog. One round trip within the transaction."""
        async with self._doors.system("read the head of the tenant event log", read_only=True) as connection:
            return await events_repository.head(connection)

    async def horizon(self) -> int:
        """See EventLog."""
        async with self._doors.system("read the horizon of the tenant event log", read_only=True) as connection:
            return await events_repository.horizon(connection)

    async def after(self, position: int, limit: int) -> Sequence[TenantEvent]:
        """See EventLog."""
        async with self._doors.system("follow the tenant event log", read_only=True) as connection:
            rows = await events_repository.events_after(connection, position, limit)
            # Read the events before the horizon: pruning in between may then refuse a complete page, but never lets one
            # with a gap pass.
            if await events_repository.horizon(connection) > position:
                raise cursor_expired()
        return [_event_of(row) for row in rows]

    async def snapshot(self, position: int, after: uuid.UUID, limit: int) -> Sequence[TenantEvent]:
        """See EventLog."""
        async with self._doors.system("read a snapshot of the tenants for a watch", read_only=True) as connection:
            unchanged = await directory_repository.unchanged_since(connection, position, after, limit)
        return [TenantEvent(position, EventType.SNAPSHOT, tenant) for tenant in unchanged]

    async def prune(self, keep: timedelta, limit: int) -> int:
        """Delete up to `limit` events that are older than `keep`, and return how many.

        Deletes only the beginning of the log, and none that a follower has yet to handle. Moves the horizon in the same
        transaction. Deletes nothing while another process prunes.
        """
        async with self._doors.system("prune the tenant event log") as connection:
            if not await try_hold(connection, locks.EVENT_LOG_PRUNING):
                return 0
            through = await events_repository.last_older_than(connection, keep, limit)
            slowest = await FOLLOWERS.slowest(connection, self.name)
            if through is None:
                return 0
            if slowest is not None:
                through = min(through, slowest)  # a follower needs the next events
            await events_repository.move_horizon(connection, through)
            return await events_repository.delete_through(connection, through)


def _event_of(row: Record) -> TenantEvent:
    if row["name_change"] is not None:
        change = NameChange.from_json(json.loads(row["name_change"]))
        return TenantEvent(row["position"], EventType(change.type), tenant_of(row), change)
    kind = EventType(row["type"])
    return TenantEvent(row["position"], kind, _tombstone(row) if kind is EventType.PURGED else tenant_of(row))


def _tombstone(row: Record) -> Tenant:
    """Return what remains of a tenant that was purged."""
    return Tenant(
        TenantId(row["tenant_id"]), "", "", "", 0, TenantState.DELETED, row["create_time"], row["update_time"], 0
    )
