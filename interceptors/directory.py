"""The tenants that this process has met: a bounded cache over a TenantSource, kept true by its watch.

A check is a dictionary look-up. A miss costs one coalesced call and never a refusal. What does not exist is remembered
as such, in the same bounded cache, so that probing neither grows memory nor reaches the source.

While the watch is connected every answer is true. When it has lost contact, answers are stale: they serve for
`fresh_for` without question, then the source is asked again, and if it can't be reached they serve until `stale_for`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any, Final

from interceptors.errors import MeshError, OutOfRange, Unavailable
from interceptors.tenants import TenantChange, TenantId, TenantRecord, TenantSource

__all__ = ["MISS", "TenantDirectory"]

_log = logging.getLogger("tenantmesh.directory")

RECONNECT_FIRST = 0.1
RECONNECT_LAST = 5.0


class _Miss:
    """The type of MISS: the answer has to be waited for."""


MISS: Final = _Miss()
Key = TenantId | str
"""A tenant's id, or its slug."""
_Slot = int | str
"""A key as the cache files it: a UUID's number, since hashing a UUID itself is a Python call, or a slug."""


def _slot(key: Key) -> _Slot:
    return key if isinstance(key, str) else key.int


class _Entry:
    """What is known of a key and since when. A record of None says that there is no such tenant."""

    __slots__ = ("learnt", "record")

    def __init__(self, record: TenantRecord | None, learnt: float) -> None:
        self.record = record
        self.learnt = learnt


class TenantDirectory:
    """Finds tenants by id or slug.

    capacity: most keys remembered, ids and slugs counted apart; the oldest go first.
    missing_for: how long "no such tenant" is believed. The watch corrects it sooner when the tenant appears.
    silence: how long the watch may say nothing; the source sends checkpoints more often than that.
    """

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
        self._source = source
        self._capacity = capacity
        self._missing_for = missing_for.total_seconds()
        self._fresh_for = fresh_for.total_seconds()
        self._stale_for = stale_for.total_seconds()
        self._silence = silence.total_seconds()
        self._clock = clock
        self._entries: dict[_Slot, _Entry] = {}
        self._fetches: dict[Key, asyncio.Task[TenantRecord | None]] = {}
        self._overtaken: set[Key] = set()
        """Keys that are being fetched and changed meanwhile."""
        self._lost_at: float | None = clock()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def live(self) -> bool:
        """Whether the watch is connected, so that every answer is true."""
        return self._lost_at is None

    async def start(self) -> None:
        """Begins to watch, in the background: a process serves while the source is still away."""
        self._watcher = asyncio.create_task(self._watch(), name="tenant-directory")

    async def close(self) -> None:
        """Stops watching and drops what is under way."""
        tasks = [task for task in (self._watcher, *self._fetches.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def peek(self, key: Key) -> TenantRecord | _Miss | None:
        """The tenant, None when there is none, or MISS when `find` must be awaited."""
        entry = self._entries.get(_slot(key))
        if entry is None:
            return MISS
        if entry.record is None:
            return None if self._clock() - entry.learnt < self._missing_for else MISS
        if self._lost_at is None or self._clock() - max(entry.learnt, self._lost_at) < self._fresh_for:
            return entry.record
        return MISS

    async def find(self, key: Key) -> TenantRecord | None:
        """The tenant, or None when there is none. Raises Unavailable when that can't be found out."""
        known = self.peek(key)
        if not isinstance(known, _Miss):
            return known
        fetch = self._fetches.get(key)
        if fetch is None:
            # In a context of its own: the answer is everybody's, and must not end with the first caller's deadline.
            fetch = asyncio.create_task(self._fetch(key), context=contextvars.Context())
            self._fetches[key] = fetch
            fetch.add_done_callback(lambda done: self._fetched(key, done))
        # Shielded: one caller's cancellation must not fail the others who wait for the same answer.
        return await asyncio.shield(fetch)

    def _fetched(self, key: Key, done: asyncio.Task[TenantRecord | None]) -> None:
        self._fetches.pop(key, None)
        self._overtaken.discard(key)
        if not done.cancelled():
            done.exception()  # seen, also when everybody who waited has left

    async def _fetch(self, key: Key) -> TenantRecord | None:
        try:
            while True:
                self._overtaken.discard(key)
                record = await self._ask(key)
                if key not in self._overtaken:
                    break  # else a change came meanwhile, and the answer may be older than it
        except MeshError as error:
            return self._stale(key, error)
        self._learn(key, record)
        return record

    def _ask(self, key: Key) -> Coroutine[Any, Any, TenantRecord | None]:
        return self._source.by_id(key) if isinstance(key, uuid.UUID) else self._source.by_slug(key)

    def _stale(self, key: Key, error: MeshError) -> TenantRecord | None:
        entry = self._entries.get(_slot(key))
        if entry is not None and entry.record is not None:
            # Under a live watch an answer is true however long ago it was learnt.
            true_until = max(entry.learnt, self._lost_at if self._lost_at is not None else self._clock())
            if self._clock() - true_until < self._stale_for:
                return entry.record
        raise Unavailable(
            "TENANT_DIRECTORY_UNAVAILABLE", "The tenant directory can't be reached. Retry with backoff."
        ) from error

    def _learn(self, key: Key, record: TenantRecord | None) -> None:
        self._put(key, record)
        if record is not None:
            self._put(record.id, record)
            self._put(record.slug, record)

    def _put(self, key: Key, record: TenantRecord | None) -> None:
        slot = _slot(key)
        self._entries.pop(slot, None)
        while len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        self._entries[slot] = _Entry(record, self._clock())

    async def _watch(self) -> None:
        """Follows the source for ever; each loss of contact is noticed, waited out and caught up with."""
        cursor: str | None = None
        pause = RECONNECT_FIRST
        while True:
            try:
                async with contextlib.aclosing(self._source.watch(cursor)) as changes:  # type: ignore[type-var]
                    if cursor is None:
                        self._forget_everything()
                    async for change in self._timely(changes):
                        cursor, pause = change.cursor, RECONNECT_FIRST
                        self._apply(change)
            except OutOfRange:
                cursor = None
            except MeshError as error:
                _log.info("lost the tenant watch: %s", error.message)
            except TimeoutError:
                _log.warning("the tenant watch was silent for %s s", self._silence)
            except Exception:
                _log.exception("the tenant watch failed")
            if self._lost_at is None:
                self._lost_at = self._clock()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_LAST)

    async def _timely(self, changes: AsyncIterator[TenantChange]) -> AsyncIterator[TenantChange]:
        """The changes. Raises TimeoutError when not even a checkpoint comes: a source can be stuck and connected."""
        while True:
            async with asyncio.timeout(self._silence):
                change = await anext(changes, None)
            if change is None:
                return
            yield change

    def _forget_everything(self) -> None:
        # What was learnt before the watch began may have changed unseen, what is being fetched too.
        self._entries.clear()
        self._overtaken.update(self._fetches)

    def _apply(self, change: TenantChange) -> None:
        """Forgets the tenant that changed: the next call asks. Learning from the event would be wrong while old events
        are replayed after a loss of contact."""
        self._lost_at = None
        record = change.record
        if record is None:
            return
        known = self._entries.pop(record.id.int, None)
        names = {record.slug, known.record.slug} if known is not None and known.record is not None else {record.slug}
        for slug in names:
            self._entries.pop(slug, None)
        keys: tuple[Key, ...] = (record.id, *names)
        self._overtaken.update(key for key in keys if key in self._fetches)
