"""The use cases of a purge: count what there is of a tenant, and destroy some of it. They open the doors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from tenantmesh.auth_svc.tenant_data import repository
from tenantmesh.auth_svc.tenant_data.refusals import not_set_up, tables_unknown, tenant_served
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.tenant_rows import TenantRows
from tenantmesh.interceptors.tenants import TenantId, TenantSource, TenantState

__all__ = ["DataCounts", "TenantData"]

_REASON = "the fence of purged tenants, and those who write meanwhile, are of the whole schema"
_LOOK_EVERY_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class DataCounts:
    """The rows of a tenant by table, its sessions that have not ended, and its passwords."""

    rows: Mapping[str, int]
    sessions: int
    passwords: int


class TenantData:
    """The use cases. Both raise Unavailable when the database can't be reached.

    doors: those of calls, which count where there is no `purging`. purging: the door of the role that purges, or None.
    tenants: tenant_svc, asked anew each time: a cache may be a moment behind.
    idle: after which time without a refresh a session has ended.
    """

    def __init__(
        self, doors: Doors, purging: Doors | None, tenants: TenantSource, rows: TenantRows, idle: timedelta
    ) -> None:
        self._doors = doors
        self._purging = purging
        self._tenants = tenants
        self._rows = rows
        self._idle = idle

    async def count(self, tenant_id: TenantId) -> DataCounts:
        """Count the tenant's rows in every table of the database's catalog. Raises FailedPrecondition
        `PURGE_NOT_SET_UP` for a table that can't be read: it may hold some."""
        async with (self._purging or self._doors).tenant(tenant_id, read_only=True) as connection:
            left = await self._rows.left(connection, tenant_id)
            sessions, passwords = await repository.credentials(connection, tenant_id, self._idle)
        unreadable = sorted(table for table, rows in left.items() if rows is None)
        if unreadable:
            raise tables_unknown(unreadable)
        return DataCounts({table: rows or 0 for table, rows in left.items()}, sessions, passwords)

    async def purge(self, tenant_id: TenantId, most: int) -> tuple[Mapping[str, int], bool]:
        """Delete up to `most` of the tenant's rows, children before parents. Return how many of each table, and whether
        more may be left.

        Each table has a transaction of its own: whatever ends the process, what was deleted stays deleted. No row comes
        back afterwards. Raises FailedPrecondition `TENANT_SERVED`, `PURGE_NOT_SET_UP`.
        """
        if self._purging is None:
            raise not_set_up()
        record = await self._tenants.by_id(tenant_id)
        if record is not None and record.state is not TenantState.DELETED:
            raise tenant_served()
        await self._shut_out(tenant_id)
        removed: dict[str, int] = {}
        for table in self._rows.tables:
            async with self._purging.tenant(tenant_id) as connection:
                gone = await self._rows.delete(connection, tenant_id, table.fullname, most)
            if gone:
                removed[table.fullname] = gone
            most -= gone
            if most == 0:
                return removed, True
        return removed, False

    async def _shut_out(self, tenant_id: TenantId) -> None:
        """Let no statement add a row of the tenant any more, and wait for those that have begun before."""
        async with self._doors.system(_REASON) as connection:
            await repository.fence(connection, tenant_id)
        waiting = await self._writers()
        while waiting:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            waiting &= await self._writers()

    async def _writers(self) -> set[str]:
        async with self._doors.system(_REASON, read_only=True) as connection:
            return await repository.writers(connection)
