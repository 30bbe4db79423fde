"""Tenants and their entitlements in memory: for tests, and for processes without a mesh. `set` changes one of them and
wakes every watcher, on any loop."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Generic, TypeVar

from tenantmesh.interceptors.entitlements import EntitlementChange, Entitlements
from tenantmesh.interceptors.tasks import wait_for_event
from tenantmesh.interceptors.tenants import TenantChange, TenantId, TenantRecord

__all__ = ["MemoryEntitlementSource", "MemoryTenantSource"]

_T = TypeVar("_T")
CHECKPOINT_SECONDS = 1.0


class _Log(Generic[_T]):
    """Events and their watchers. A chain on the thread-pool server watches from a loop of its own."""

    def __init__(self) -> None:
        self._entries: list[_T] = []
        self._watchers: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def append(self, entry: _T) -> None:
        self._entries.append(entry)
        for loop, changed in self._watchers:
            loop.call_soon_threadsafe(changed.set)

    async def after(self, cursor: str | None) -> AsyncGenerator[tuple[str, _T | None], None]:
        """Yield the entries after the cursor, each with its own. None is a checkpoint: no earlier entry is missing."""
        position = len(self._entries) if cursor is None else int(cursor)
        watcher = (asyncio.get_running_loop(), changed := asyncio.Event())
        self._watchers.append(watcher)
        try:
            while True:
                changed.clear()
                for entry in self._entries[position:]:
                    position += 1
                    yield str(position), entry
                yield str(position), None
                await wait_for_event(changed, CHECKPOINT_SECONDS)
        finally:
            self._watchers.remove(watcher)


class MemoryTenantSource:
    """A TenantSource over a dictionary."""

    def __init__(self) -> None:
        self._tenants: dict[TenantId, TenantRecord] = {}
        self._log = _Log[TenantRecord]()
        self.lookups = 0
        """The number of look-ups."""

    def set(self, tenant: TenantRecord) -> None:
        """Add or replace the tenant."""
        self._tenants[tenant.id] = tenant
        self._log.append(tenant)

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        """As `TenantSource.by_id`."""
        self.lookups += 1
        return self._tenants.get(TenantId(tenant_id))

    async def by_name(self, name: str) -> TenantRecord | None:
        """As `TenantSource.by_name`."""
        self.lookups += 1
        return next((tenant for tenant in self._tenants.values() if tenant.is_called(name)), None)

    async def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        """As `TenantSource.watch`."""
        async with contextlib.aclosing(self._log.after(cursor)) as entries:
            async for position, tenant in entries:
                yield TenantChange(position, tenant, caught_up=tenant is None)


class MemoryEntitlementSource:
    """An EntitlementSource over a dictionary."""

    def __init__(self) -> None:
        self._entitlements: dict[TenantId, Entitlements] = {}
        self._log = _Log[TenantId]()
        self.lookups = 0
        """The number of look-ups."""

    def set(self, entitled: Entitlements) -> None:
        """Add or replace a tenant's entitlements."""
        self._entitlements[entitled.tenant_id] = entitled
        self._log.append(entitled.tenant_id)

    def entitled(self, tenant_id: TenantId) -> Entitlements:
        """Return the tenant's entitlements. Raises KeyError for a tenant without any."""
        return self._entitlements[tenant_id]

    def limit(self, tenant_id: TenantId, meter: str) -> int | None:
        """Return the allowance of a meter. MemoryQuotaLedger calls this."""
        entitled = self._entitlements.get(tenant_id)
        return 0 if entitled is None else entitled.limit(meter)

    async def find(self, tenant_id: TenantId) -> Entitlements | None:
        """As `EntitlementSource.find`."""
        self.lookups += 1
        return self._entitlements.get(tenant_id)

    async def watch(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        """As `EntitlementSource.watch`."""
        async with contextlib.aclosing(self._log.after(cursor)) as entries:
            async for position, tenant_id in entries:
                yield EntitlementChange(position, tenant_id, caught_up=tenant_id is None)
