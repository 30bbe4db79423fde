"""The directory of entitlements: a bounded cache over an EntitlementSource, kept up to date by its watch."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

from tenantmesh.interceptors.directories.watched import Freshness, Watched
from tenantmesh.interceptors.entitlements import (
    EntitlementChange,
    Entitlements,
    EntitlementSource,
    entitlements_unavailable,
)
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["EntitlementDirectory"]

Forgotten = Callable[[TenantId | None], None]
"""A callback with the tenant whose entitlements may have changed; None is every tenant."""


class EntitlementDirectory(Watched[TenantId, Entitlements, EntitlementChange]):
    """Finds entitlements by tenant. `watched` says how long answers serve. Entitlements that end by themselves
    (`valid_for`) are asked for again then."""

    def __init__(
        self,
        source: EntitlementSource,
        *,
        capacity: int = 20_000,
        fresh_for: timedelta = timedelta(seconds=5),
        stale_for: timedelta = timedelta(seconds=60),
        silence: timedelta = timedelta(seconds=5),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Only tenants that exist are asked about. One that was just brought back must not seem to lack entitlements.
        freshness = Freshness(capacity, timedelta(0), fresh_for, stale_for, silence)
        super().__init__("entitlement-directory", freshness, clock)
        self._source = source
        self._listeners: list[Forgotten] = []

    def on_forgotten(self, listener: Forgotten) -> None:
        """Call the listener on the directory's loop when a tenant's entitlements may have changed: after an event, when
        an answer differs from the cached one, and with None when the watch begins anew. It must not wait or raise."""
        self._listeners.append(listener)

    def _slot(self, key: TenantId) -> int:
        # The number of a UUID: hashing the UUID itself is a call of Python code.
        return key.int

    async def _ask(self, key: TenantId) -> Entitlements | None:
        return await self._source.find(key)

    def _watch_from(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        return self._source.watch(cursor)

    def _unreachable(self) -> Unavailable:
        return entitlements_unavailable()

    def _lifetime(self, record: Entitlements) -> float:
        return super()._lifetime(record) if record.valid_for is None else record.valid_for.total_seconds()

    def _learn(self, key: TenantId, record: Entitlements | None, learnt: float) -> None:
        before = self._entries.get(key.int)
        self._put(key, record, learnt)
        if before is not None and _without_validity(before.record) != _without_validity(record):
            self._notify(key)

    def _apply(self, change: EntitlementChange) -> None:
        if change.everybody:
            self._forget_everything()
        elif change.tenant_id is not None:
            self._forget(change.tenant_id)
            self._notify(change.tenant_id)

    def _forget_everything(self) -> None:
        self._entries.clear()
        self._journal.add_everything()
        self._notify(None)

    def _distrust_everything(self) -> None:
        super()._distrust_everything()
        self._notify(None)

    def _notify(self, tenant_id: TenantId | None) -> None:
        for listener in self._listeners:
            listener(tenant_id)


def _without_validity(record: Entitlements | None) -> Entitlements | None:
    """Return the entitlements without `valid_for`, which differs with every answer."""
    return None if record is None else replace(record, valid_for=None)
