"""The tenant source of tenant_svc's own chain. It reads the database; every other process asks tenant_svc."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing

from tenantmesh.chassis.event_log.watch import FromCursor, FromNow, Watch
from tenantmesh.interceptors.tenants import TenantChange, TenantRecord, TenantSource
from tenantmesh.tenant_svc.tenants.events import TenantEvent
from tenantmesh.tenant_svc.tenants.tenants import Tenants

__all__ = ["PostgresTenantSource"]


class PostgresTenantSource(TenantSource):
    """A TenantSource on the database and the process's one tail of the event log."""

    def __init__(self, tenants: Tenants, watch: Watch[TenantEvent]) -> None:
        self._tenants = tenants
        self._watch = watch

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        """Return the tenant's record, deleted or not, or None when it does not exist. Raises Unavailable."""
        tenant = await self._tenants.find(tenant_id)
        return None if tenant is None else tenant.record

    async def by_name(self, name: str) -> TenantRecord | None:
        """Return the record as `by_id` does, by a slug or a login host."""
        tenant = await self._tenants.find_by_name(name)
        return None if tenant is None else tenant.record

    async def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        """Yield every change after the cursor, or from now; a checkpoint first. Raises OutOfRange, Unavailable."""
        start = FromNow() if cursor is None else FromCursor(cursor)
        async with aclosing(self._watch.follow(start)) as changes:
            async for change in changes:
                record = None if change.event is None else change.event.tenant.record
                yield TenantChange(change.cursor, record, caught_up=change.caught_up)
