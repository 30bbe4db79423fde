"""The log of entitlements, for `chassis.event_log`: changes of tenants' entitlements and of the catalog."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.cursor_text import Cursors
from tenantmesh.chassis.event_log.log import EventLog
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.tenant_svc.history import repository
from tenantmesh.tenant_svc.history.event import EntitlementEvent

__all__ = ["CURSORS", "StoredEntitlementEvents"]

CURSORS = Cursors(stream=b"tm.ewat", snapshot=b"tm.esnap")


class StoredEntitlementEvents(EventLog[EntitlementEvent]):
    """The events in the database, read across tenants through the system door. None are pruned: they are the
    history."""

    name = "entitlement"
    cursors = CURSORS

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    def lost(self) -> Unavailable:
        """See EventLog."""
        return Unavailable(
            "ENTITLEMENTS_UNAVAILABLE",
            "Changes of entitlements can't be read at the moment. Resume from the last cursor, with backoff.",
            retry_after=timedelta(seconds=1),
        )

    async def head(self) -> int:
        """See EventLog."""
        async with self._doors.system("read the head of the entitlement event log", read_only=True) as connection:
            return await repository.head(connection)

    async def horizon(self) -> int:
        """See EventLog."""
        return 0

    async def after(self, position: int, limit: int) -> Sequence[EntitlementEvent]:
        """See EventLog."""
        async with self._doors.system("follow the entitlement event log", read_only=True) as connection:
            return await repository.after(connection, position, limit)

    async def snapshot(self, position: int, after: uuid.UUID, limit: int) -> Sequence[EntitlementEvent]:
        """See EventLog."""
        async with self._doors.system("read a snapshot of the tenants for a watch", read_only=True) as connection:
            return await repository.unchanged_since(connection, position, after, limit)
