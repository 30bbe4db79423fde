"""What the tenants that this process has met are entitled to: a bounded cache over an EntitlementSource, kept true by
its watch."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

from tenantmesh.interceptors.directories.watched import Freshness, Watched
from tenantmesh.interceptors.entitlements import EntitlementChange, Entitlements, EntitlementSource
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["EntitlementDirectory", "Forgotten"]

Forgotten = Callable[[TenantId | None], None]
"""Told whose entitlements may have changed; None is everybody's."""


class EntitlementDirectory(Watched[TenantId, Entitlements, EntitlementChange]):
    """Finds entitlements by tenant. How long answers are believed is said in `_watched`; answers that end by themselves
    (`valid_for`) are asked for again when they do."""

    def __init__(
        self,
        source: EntitlementSource,
        *,
        capacity: int = 20_000,
        missing_for: timedelta = timedelta(seconds=10),
        fresh_for: timedelta = timedelta(seconds=5),
        stale_for: timedelta = timedelta(seconds=60),
        silence: timedelta = timedelta(seconds=5),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        freshness = Freshness(capacity, missing_for, fresh_for, stale_for, silence)
        super().__init__("entitlement-directory", freshness, clock)
        self._source = source
        self._listeners: list[Forgotten] = []

    def on_forgotten(self, listener: Forgotten) -> None:
        """Has the listener told, on the directory's loop, whose entitlements may be others from now on: after a change,
        when they turn out to have changed unseen, and for everybody when the watch had to begin anew. It must not wait
        or raise."""
        self._listeners.append(listener)

    def _slot(self, key: TenantId) -> int:
        # A UUID's number, since hashing a UUID itself is a Python call.
        return key.int

    async def _ask(self, key: TenantId) -> Entitlements | None:
        return await self._source.find(key)

    def _watch_from(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        return self._source.watch(cursor)

    def _unreachable(self) -> Unavailable:
        return Unavailable(
            "ENTITLEMENTS_UNAVAILABLE",
            "What the tenant is entitled to can't be found out right now. Retry with backoff.",
        )

    def _lifetime(self, record: Entitlements) -> float:
        return super()._lifetime(record) if record.valid_for is None else record.valid_for.total_seconds()

    def _learn(self, key: TenantId, record: Entitlements | None, learnt: float) -> None:
        before = self._entries.get(key.int)
        self._put(key, record, learnt)
        if before is not None and _lasting(before.record) != _lasting(record):
            self._tell(key)

    def _apply(self, change: EntitlementChange) -> None:
        if change.everybody:
            self._forget_everything()
        elif change.tenant_id is not None:
            self._forget(change.tenant_id)
            self._tell(change.tenant_id)

    def _forget_everything(self) -> None:
        super()._forget_everything()
        self._tell(None)

    def _tell(self, tenant_id: TenantId | None) -> None:
        for listener in self._listeners:
            listener(tenant_id)


def _lasting(record: Entitlements | None) -> Entitlements | None:
    """The entitlements without how long they stay true, which is another each time that they are asked for."""
    return None if record is None else replace(record, valid_for=None)
