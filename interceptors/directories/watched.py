"""The base of the directories: a bounded cache over a source that answers look-ups and sends changes.

A look-up is a dictionary access. A miss costs one shared question to the source and never a refusal. The cache also
remembers that a key does not exist, so that probing neither grows memory nor reaches the source.

Answers are true while the watch is connected and has caught up. They are stale from the loss of contact until it has
caught up again. A stale answer serves for `fresh_for` without a question. Then the source is asked again, and while it
can't be reached, the answer serves until `stale_for`. A change that the watch has sent ends an answer in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar, cast

from tenantmesh.interceptors.directories.journal import Journal
from tenantmesh.interceptors.errors import MeshError, OutOfRange, Unavailable
from tenantmesh.interceptors.lookup import MISS, Miss
from tenantmesh.interceptors.tasks import SingleFlight, cancel

__all__ = ["Freshness", "Watched"]

_log = logging.getLogger("tenantmesh.directory")

RECONNECT_FIRST = 0.1
RECONNECT_LAST = 5.0
_FOR_EVER = float("inf")


class WatchMessage(Protocol):
    """A message of a watch: a change or a checkpoint, with the cursor to resume from."""

    @property
    def cursor(self) -> str: ...

    @property
    def caught_up(self) -> bool:
        """True when every change until now has been sent."""
        ...


K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
C = TypeVar("C", bound=WatchMessage)


@dataclass(frozen=True, slots=True)
class Freshness:
    """The size of a directory, and the time for which it serves an entry.

    capacity: most keys; the oldest are evicted first.
    missing_for: how long a key that did not exist stays missing. The watch corrects it sooner when the key appears.
    fresh_for: how long a stale answer serves without a question, from the loss of contact.
    stale_for: how long a stale answer serves while the source can't be reached.
    silence: how long the watch may be silent. The source sends checkpoints more often than that.
    """

    capacity: int = 20_000
    missing_for: timedelta = timedelta(seconds=10)
    fresh_for: timedelta = timedelta(seconds=5)
    stale_for: timedelta = timedelta(seconds=60)
    silence: timedelta = timedelta(seconds=5)


class _Entry(Generic[V]):
    """A cached record, None for a key that does not exist: when it was learnt, and until when it is true at most."""

    __slots__ = ("learnt", "record", "until")

    def __init__(self, record: V | None, learnt: float, until: float) -> None:
        self.record = record
        self.learnt = learnt
        self.until = until


class Watched(Generic[K, V, C]):
    """See the module. A directory says how to ask its source, how to watch it, and which keys a change concerns."""

    def __init__(self, name: str, freshness: Freshness, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._capacity = freshness.capacity
        self._missing_for = freshness.missing_for.total_seconds()
        self._fresh_for = freshness.fresh_for.total_seconds()
        self._stale_for = freshness.stale_for.total_seconds()
        self._silence = freshness.silence.total_seconds()
        self._clock = clock
        self._entries: dict[Hashable, _Entry[V]] = {}
        self._fetches = SingleFlight[K, V | None](self._fetch)
        self._journal = Journal()
        self._lost_at: float | None = clock()
        self._watcher: asyncio.Task[None] | None = None
        self._closing = False

    # For directories to override.

    async def _ask(self, key: K) -> V | None:
        """Ask the source."""
        raise NotImplementedError

    def _watch_from(self, cursor: str | None) -> AsyncIterator[C]:
        """Watch the source."""
        raise NotImplementedError

    def _apply(self, change: C) -> None:
        """Forget the keys that changed, so that the next look-up asks. An event must not be cached: after a loss of
        contact old events are replayed."""
        raise NotImplementedError

    def _unreachable(self) -> Unavailable:
        """Return the error of a look-up when nothing is cached and the source can't be asked."""
        raise NotImplementedError

    def _slot(self, key: K) -> Hashable:
        """Return the key under which the cache stores the record."""
        return key

    def _concerned(self, key: K, record: V | None) -> Iterable[Hashable]:
        """Return the slots whose changes make an answer to the key outdated."""
        return (self._slot(key),)

    def _lifetime(self, record: V) -> float:
        """Return the seconds for which the record is true without a change, from when it was asked for."""
        return _FOR_EVER

    def _learn(self, key: K, record: V | None, learnt: float) -> None:
        """Cache the record."""
        self._put(key, record, learnt)

    def _evicted(self, slot: Hashable, record: V | None) -> None:
        """Forget what else is kept about an entry that made room for another one. Called for every eviction."""

    def _unlisted(self, key: K) -> V | Miss:
        """Return what is known of a key that the cache does not hold, or MISS."""
        return MISS

    # The same for all directories.

    @property
    def live(self) -> bool:
        """True while the watch is connected and has caught up, so that every answer is true."""
        return self._lost_at is None

    @property
    def size(self) -> int:
        """The number of keys that the cache holds, never more than its capacity."""
        return len(self._entries)

    async def start(self) -> None:
        """Start the watch in the background: a process serves while the source is still away."""
        self._watcher = asyncio.create_task(self._watch(), name=self._name)

    async def close(self) -> None:
        """Stop the watch, and cancel fetches under way."""
        self._closing = True
        await asyncio.gather(cancel(self._watcher), self._fetches.cancel())

    def peek(self, key: K) -> V | Miss | None:
        """Return the record if it is cached, None if the key does not exist, or MISS if `find` must be awaited."""
        entry = self._entries.get(self._slot(key))
        if entry is None:
            return self._unlisted(key)
        if entry.record is None:
            return None if self._clock() - entry.learnt < self._missing_for else MISS
        if self._lost_at is None and entry.until is _FOR_EVER:
            return entry.record
        now = self._clock()
        if now < entry.until and (self._lost_at is None or now - max(entry.learnt, self._lost_at) < self._fresh_for):
            return entry.record
        return MISS

    async def find(self, key: K) -> V | None:
        """Return the record, from the cache or from the source; None if the key does not exist. Raises Unavailable if
        neither has an answer."""
        known = self.peek(key)
        return await self._fetches.result(key) if isinstance(known, Miss) else known

    async def _fetch(self, key: K) -> V | None:
        try:
            while True:
                self._journal.begin(key)
                asked = self._clock()
                record = await self._ask(key)
                if not self._journal.overtook(key, self._concerned(key, record)):
                    break  # else a change came meanwhile, and the answer may be older than it
        except MeshError as error:
            return self._stale(key, error)
        finally:
            self._journal.end(key)
        self._learn(key, record, asked)
        return record

    def _stale(self, key: K, error: MeshError) -> V:
        """Return the cached record while it may still serve. Raises Unavailable otherwise."""
        entry = self._entries.get(self._slot(key))
        if entry is not None and entry.record is not None:
            # Under a live watch a record is true however long ago it was learnt, unless it ended by itself.
            true_until = max(entry.learnt, self._lost_at if self._lost_at is not None else self._clock())
            if self._clock() - min(true_until, entry.until) < self._stale_for:
                return entry.record
        if error.reason == "MESH_KEY_REFUSED":  # an operator must act: no outage
            raise error
        raise self._unreachable() from error

    @property
    def _fresh(self) -> bool:
        """True while what was true at the loss of contact serves without a question."""
        return self._lost_at is None or self._clock() - self._lost_at < self._fresh_for

    def _put(self, key: K, record: V | None, learnt: float) -> None:
        slot = self._slot(key)
        self._entries.pop(slot, None)
        while len(self._entries) >= self._capacity:
            oldest = next(iter(self._entries))
            self._evicted(oldest, self._entries.pop(oldest).record)
        lifetime = _FOR_EVER if record is None else self._lifetime(record)
        self._entries[slot] = _Entry(record, self._clock(), learnt + lifetime if lifetime < _FOR_EVER else _FOR_EVER)

    async def _watch(self) -> None:
        """Follow the source until closed: after each loss of contact, pause, resume and catch up."""
        cursor: str | None = None
        pause = RECONNECT_FIRST
        # The flag, since a wait with a time-out may swallow a cancellation that comes together with its event.
        while not self._closing:
            try:
                # Sources are generators. Closing one ends its stream.
                changes = cast("AsyncGenerator[C, None]", self._watch_from(cursor))
                async with contextlib.aclosing(changes):
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
        """Apply one message. `anew` is the first message of a watch that resumes no cursor."""
        if anew:
            self._distrust_everything()
        self._apply(change)
        if change.caught_up:
            self._lost_at = None

    async def _timely(self, changes: AsyncIterator[C]) -> AsyncIterator[C]:
        """Yield the changes. Raises TimeoutError when not even a checkpoint comes: a connected source may be stuck."""
        while True:
            async with asyncio.timeout(self._silence):
                change = await anext(changes, None)
            if change is None:
                return
            yield change

    def _forget(self, *keys: K) -> None:
        slots = [self._slot(key) for key in keys]
        for slot in slots:
            self._entries.pop(slot, None)
        self._journal.add(slots)

    def _distrust_everything(self) -> None:
        """Ask for every key again. What was learnt or asked for before the watch began may have changed unseen; it has
        begun when its first message arrives, since the source reads its position somewhere between the request and
        that. Until the source answers, records are as stale as they were without contact."""
        known_until = self._clock() if self._lost_at is None else self._lost_at
        self._entries = {slot: entry for slot, entry in self._entries.items() if entry.record is not None}
        for entry in self._entries.values():
            entry.until = min(entry.until, max(entry.learnt, known_until))
        self._journal.add_everything()
