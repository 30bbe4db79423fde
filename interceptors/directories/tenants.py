"""The directory of tenants: a bounded cache over a TenantSource, kept up to date by its watch."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from datetime import timedelta
from weakref import WeakValueDictionary

from tenantmesh.interceptors.directories.watched import Freshness, Watched
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.lookup import MISS, Miss
from tenantmesh.interceptors.tenants import TenantChange, TenantKey, TenantRecord, TenantSource, TenantState

__all__ = ["TenantDirectory"]


class TenantDirectory(Watched[TenantKey, TenantRecord, TenantChange]):
    """Finds tenants by id, slug or login host. Each id and each name counts against the capacity. `watched` says how
    long answers serve."""

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
        self._names: dict[int, set[str]] = {}
        """The names under which a tenant is cached, by its id."""
        self._held: WeakValueDictionary[int, TenantRecord] = WeakValueDictionary()
        """Records that made room for others and that somebody holds, such as an open stream, by the tenant's id."""

    def forget(self, tenant: TenantRecord) -> None:
        """Forget a tenant that has changed, so that the next look-up asks. Call it on the directory's loop.

        Events do it. A process that has changed the tenant itself does it at once, with the tenant after the change.
        """
        self._held.pop(tenant.id.int, None)
        # What leads to it now may be cached as leading nowhere; what led to it may still be cached.
        self._forget(tenant.id, tenant.slug, *tenant.names, *self._names.pop(tenant.id.int, ()))

    def _slot(self, key: TenantKey) -> int | str:
        # The number of a UUID: hashing the UUID itself is a call of Python code.
        return key if isinstance(key, str) else key.int

    async def _ask(self, key: TenantKey) -> TenantRecord | None:
        return await (self._source.by_id(key) if isinstance(key, uuid.UUID) else self._source.by_name(key))

    def _watch_from(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        return self._source.watch(cursor)

    def _unreachable(self) -> Unavailable:
        return Unavailable("TENANT_DIRECTORY_UNAVAILABLE", "The tenant directory can't be reached. Retry with backoff.")

    def _concerned(self, key: TenantKey, record: TenantRecord | None) -> Iterable[Hashable]:
        # A name may have been taken from its tenant: the event of that names the tenant and no longer the name.
        return (self._slot(key),) if record is None else (self._slot(key), record.id.int)

    def _learn(self, key: TenantKey, record: TenantRecord | None, learnt: float) -> None:
        keys: set[TenantKey] = {key}
        if record is not None:
            keys.add(record.id)
            if record.state is not TenantState.DELETED:  # else its slug may be another tenant's by now
                keys.add(record.slug)
            self._names.setdefault(record.id.int, set()).update(each for each in keys if isinstance(each, str))
        for each in keys:
            self._put(each, record, learnt)

    def _evicted(self, slot: Hashable, record: TenantRecord | None) -> None:
        if record is None:
            return
        if isinstance(slot, int):
            self._held[slot] = record
        names = self._names.get(record.id.int, set())
        if isinstance(slot, str):
            names.discard(slot)
        if not names:
            self._names.pop(record.id.int, None)

    def _unlisted(self, key: TenantKey) -> TenantRecord | Miss:
        """Return a record that somebody holds: it is as true as a cached one, and asking again at every look at an
        open stream would cost a question each."""
        if isinstance(key, str) or not self._fresh:
            return MISS
        return self._held.get(key.int, MISS)

    def _distrust_everything(self) -> None:
        super()._distrust_everything()
        self._held.clear()

    def _apply(self, change: TenantChange) -> None:
        if change.record is not None:
            self.forget(change.record)
