"""The directory of tenants: a bounded cache over a TenantSource, kept up to date by its watch."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

from tenantmesh.interceptors.directories.watched import Freshness, Watched
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.tenants import TenantChange, TenantKey, TenantRecord, TenantSource

__all__ = ["TenantDirectory"]


class TenantDirectory(Watched[TenantKey, TenantRecord, TenantChange]):
    """Finds tenants by id or slug. Each id and each slug counts against the capacity. `watched` says how long answers
    serve."""

    def __init__(
        self,
        source: TenantSource,
        *,
        capacity: int = 20_000,
        missing_for: timedelta = timedelta(seconds=10),
        fresh_for: timedelta = timedelta(seconds=5),
        stale_for: timedelta = timedelta(seconds=60),
        silence: timedelta = timedelta(seconds=5),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        freshness = Freshness(capacity, missing_for, fresh_for, stale_for, silence)
        super().__init__("tenant-directory", freshness, clock)
        self._source = source

    def _slot(self, key: TenantKey) -> int | str:
        # The number of a UUID: hashing the UUID itself is a call of Python code.
        return key if isinstance(key, str) else key.int

    async def _ask(self, key: TenantKey) -> TenantRecord | None:
        return await (self._source.by_id(key) if isinstance(key, uuid.UUID) else self._source.by_slug(key))

    def _watch_from(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        return self._source.watch(cursor)

    def _unreachable(self) -> Unavailable:
        return Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "The tenant directory can't be reached. Retry with backoff.")

    def _learn(self, key: TenantKey, record: TenantRecord | None, learnt: float) -> None:
        self._put(key, record, learnt)
        if record is not None:
            self._put(record.id, record, learnt)
            self._put(record.slug, record, learnt)

    def _apply(self, change: TenantChange) -> None:
        record = change.record
        if record is None:
            return
        known = self._entries.get(record.id.int)
        before = known.record if known is not None else None
        self._forget(record.id, record.slug, *([before.slug] if before is not None else []))
