"""A bounded cache over a source that is asked once per key and says what changes: what the directories of tenants and
of entitlements are made of.

A check is a dictionary look-up. A miss costs one coalesced call and never a refusal. What does not exist is remembered
as such, in the same bounded cache, so that probing neither grows memory nor reaches the source.

While the watch is connected and has caught up every answer is true. From when it loses contact until it has caught up
again, answers are stale: they serve for `fresh_for` without question, then the source is asked again, and if it can't
be reached they serve until `stale_for`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Generic, Protocol, TypeVar

from tenantmesh.interceptors.errors import MeshError, OutOfRange, Unavailable

__all__ = ["MISS", "Freshness", "Miss", "Watched"]

_log = logging.getLogger("tenantmesh.directory")

RECONNECT_FIRST = 0.1
RECONNECT_LAST = 5.0
_FOR_EVER = float("inf")


class Miss:
    """The type of MISS: the answer has to be waited for."""


MISS: Final = Miss()


class Change(Protocol):
    """What a watch yields: a change or a checkpoint, with the cursor to resume from."""

    @property
    def cursor(self) -> str: ...

    @property
    def caught_up(self) -> bool:
        """Whether nothing that has happened is still to come."""
        ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
C = TypeVar("C", bound=Change)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How much is remembered, and how long it is believed.

    capacity: most keys remembered; the oldest go first.
    missing_for: how long "no such thing" is believed. The watch corrects it sooner when the thing appears.
    silence: how long the watch may say nothing; the source sends checkpoints more often than that.
    """

    capacity: int = 20_000
    missing_for: timedelta = timedelta(seconds=10)
    fresh_for: timedelta = timedelta(seconds=5)
    stale_for: timedelta = timedelta(seconds=60)
    silence: timedelta = timedelta(seconds=5)


class _Entry(Generic[V]):
    """What is known of a key, since when, and until when at the longest. None says that there is no such thing."""

    __slots__ = ("learnt", "record", "until")

    def __init__(self, record: V | None, learnt: float, until: float) -> None:
        self.record = record
        self.learnt = learnt
        self.until = until


class Watched(Generic[K, V, C]):
    """See the module. Adapters say how to ask, how to watch, and which keys a change concerns."""

    def __init__(self, name: str, freshness: Freshness, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._capacity = freshness.capacity
        self._missing_for = freshness.missing_for.total_seconds()
        self._fresh_for = freshness.fresh_for.total_seconds()
        self._stale_for = freshness.stale_for.total_seconds()
        self._silence = freshness.silence.total_seconds()
        self._clock = clock
        self._entries: dict[Hashable, _Entry[V]] = {}
        self._fetches: dict[K, asyncio.Task[V | None]] = {}
        self._overtaken: set[K] = set()
        """Keys that are being fetched and changed meanwhile."""
        self._lost_at: float | None = clock()
        self._watcher: asyncio.Task[None] | None = None
        self._closing = False

    # What adapters say.

    async def _ask(self, key: K) -> V | None:
        raise NotImplementedError

    def _watch_from(self, cursor: str | None) -> AsyncIterator[C]:
        raise NotImplementedError

    def _apply(self, change: C) -> None:
        """Forgets what changed: the next call asks. Learning from the event would be wrong while old events are
        replayed after a loss of contact."""
        raise NotImplementedError

    def _unreachable(self) -> Unavailable:
        """The refusal where nothing is known and the source can't be asked."""
        raise NotImplementedError

    def _slot(self, key: K) -> Hashable:
        """The key as the cache files it."""
        return key

    def _lifetime(self, record: V) -> float:  # noqa: ARG002  # adapters whose records end by themselves use it
        """Seconds for which a record is true even if nothing changes, from when it was asked for."""
        return _FOR_EVER

    def _learn(self, key: K, record: V | None, learnt: float) -> None:
        self._put(key, record, learnt)

    # What all of them do.

    @property
    def live(self) -> bool:
        """Whether the watch is connected and has caught up, so that every answer is true."""
        return self._lost_at is None

    async def start(self) -> None:
        """Begins to watch, in the background: a process serves while the source is still away."""
        self._watcher = asyncio.create_task(self._watch(), name=self._name)

    async def close(self) -> None:
        """Stops watching and drops what is under way."""
        self._closing = True
        tasks = [task for task in (self._watcher, *self._fetches.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def peek(self, key: K) -> V | Miss | None:
        """What is known, None when there is no such thing, or MISS when `find` must be awaited."""
        entry = self._entries.get(self._slot(key))
        if entry is None:
            return MISS
        if entry.record is None:
            return None if self._clock() - entry.learnt < self._missing_for else MISS
        if self._lost_at is None and entry.until is _FOR_EVER:
            return entry.record
        now = self._clock()
        if now < entry.until and (self._lost_at is None or now - max(entry.learnt, self._lost_at) < self._fresh_for):
            return entry.record
        return MISS

    async def find(self, key: K) -> V | None:
        """What the source says, or None when there is no such thing. Raises Unavailable when that can't be found
        out."""
        known = self.peek(key)
        if not isinstance(known, Miss):
            return known
        fetch = self._fetches.get(key)
        if fetch is None:
            # In a context of its own: the answer is everybody's, and must not end with the first caller's deadline.
            fetch = asyncio.create_task(self._fetch(key), context=contextvars.Context())
            self._fetches[key] = fetch
            fetch.add_done_callback(lambda done: self._fetched(key, done))
        # Shielded: one caller's cancellation must not fail the others who wait for the same answer.
        return await asyncio.shield(fetch)

    def _fetched(self, key: K, done: asyncio.Task[V | None]) -> None:
        self._fetches.pop(key, None)
        self._overtaken.discard(key)
        if not done.cancelled():
            done.exception()  # seen, also when everybody who waited has left

    async def _fetch(self, key: K) -> V | None:
        try:
            while True:
                self._overtaken.discard(key)
                asked = self._clock()
                record = await self._ask(key)
                if key not in self._overtaken:
                    break  # else a change came meanwhile, and the answer may be older than it
        except MeshError as error:
            return self._stale(key, error)
        self._learn(key, record, asked)
        return record

    def _stale(self, key: K, error: MeshError) -> V:
        entry = self._entries.get(self._slot(key))
        if entry is not None and entry.record is not None:
            # Under a live watch an answer is true however long ago it was learnt, unless it ended by itself.
            true_until = max(entry.learnt, self._lost_at if self._lost_at is not None else self._clock())
            if self._clock() - min(true_until, entry.until) < self._stale_for:
                return entry.record
        raise self._unreachable() from error

    def _put(self, key: K, record: V | None, learnt: float) -> None:
        slot = self._slot(key)
        self._entries.pop(slot, None)
        while len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        lifetime = _FOR_EVER if record is None else self._lifetime(record)
        self._entries[slot] = _Entry(record, self._clock(), learnt + lifetime if lifetime < _FOR_EVER else _FOR_EVER)

    async def _watch(self) -> None:
        """Follows the source for ever; each loss of contact is noticed, waited out and caught up with."""
        cursor: str | None = None
        pause = RECONNECT_FIRST
        # The flag, since what waits with a time-out may swallow a cancellation that comes together with its event.
        while not self._closing:
            try:
                async with contextlib.aclosing(self._watch_from(cursor)) as changes:  # type: ignore[type-var]
                    async for change in self._timely(changes):
                        if self._closing:
                            return
                        self._follow(change, anew=cursor is None)
                        cursor, pause = change.cursor, RECONNECT_FIRST
            except OutOfRange:
                cursor = None
            except MeshError as error:
                _log.info("lost the watch of the %s: %s", self._name, error.message)
            except TimeoutError:
                _log.warning("the watch of the %s was silent for %s s", self._name, self._silence)
            except Exception:
                _log.exception("the watch of the %s failed", self._name)
            if self._lost_at is None:
                self._lost_at = self._clock()
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_LAST)

    def _follow(self, change: C, *, anew: bool) -> None:
        """One message of the watch; `anew` is the first of one that resumes nothing."""
        if anew:
            self._forget_everything()
        self._apply(change)
        if change.caught_up:
            self._lost_at = None

    async def _timely(self, changes: AsyncIterator[C]) -> AsyncIterator[C]:
        """The changes. Raises TimeoutError when not even a checkpoint comes: a source can be stuck and connected."""
        while True:
            async with asyncio.timeout(self._silence):
                change = await anext(changes, None)
            if change is None:
                return
            yield change

    def _forget(self, *keys: K) -> None:
        for key in keys:
            self._entries.pop(self._slot(key), None)
        self._overtaken.update(key for key in keys if key in self._fetches)

    def _forget_everything(self) -> None:
        # What was learnt before a watch began may have changed unseen, what is being fetched too. It has begun when its
        # first message is here: the source draws its "now" somewhere between the request and that.
        self._entries.clear()
        self._overtaken.update(self._fetches)
