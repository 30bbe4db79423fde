"""Hashes passwords with Argon2id in a few threads, in turn by tenant. Knows neither users nor password rules."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.runtime.fair_queue import FairQueue

__all__ = ["Hashing", "Verdict", "default_hasher"]

_T = TypeVar("_T")

BUSY_RETRY = timedelta(seconds=1)
"""Roughly the time that a tenant's full queue takes to drain."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing a password with a hash."""

    matches: bool
    outdated: bool = False
    """True when the hash matches, but was made with other parameters than the current ones."""


@dataclass(slots=True)
class HashingCounts:
    """Turns to hash passwords: begun, and refused because the queue was full."""

    begun: int = 0
    refused: int = 0


def default_hasher() -> PasswordHasher:
    """Return a hasher with OWASP's minimum for Argon2id: 19 MiB, two passes, one lane. It takes about 25 ms."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


class Hashing:
    """Hashes and verifies in at most cores - 1 threads of its own. Who waits is served in turn by tenant, and within a
    tenant by network address. When too many wait, those who take most are refused at once.

    Argon2 fills the memory bus, so more threads do less work; and the event loop needs a core.
    """

    def __init__(
        self, hasher: PasswordHasher, *, places: int = 256, tenant_places: int = 16, cores: int | None = None
    ) -> None:
        """`places` callers may wait in all, `tenant_places` of one tenant."""
        threads = max(1, (cores or os.cpu_count() or 1) - 1)
        self.counts = HashingCounts()
        self._hasher = hasher
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        # One turn more than threads: it makes ready while the others hash, so that no thread waits for it.
        self._free = threads + 1
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue(places=places, lane_places=tenant_places)
        # Compared with when there is no account, so that an unknown address takes as long as a known one.
        self._dummy = hasher.hash(os.urandom(16).hex())

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, tenant: Hashable, network: Hashable) -> AsyncIterator[Turn]:
        """Wait for a turn: inside the block passwords are hashed without waiting for others.

        The turn lasts until the block ends, and until a hash is done that its caller did not wait for. Do nothing slow
        in it but hashing. Raises ResourceExhausted `HASHING_BUSY` when no place is left for the tenant, or its address.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(tenant, network)
        self.counts.begun += 1
        turn = Turn(self._hasher, self._dummy, self._executor)
        try:
            yield turn
        finally:
            self._end_after(turn)

    async def close(self) -> None:
        """Cancel the queue, and let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _wait(self, tenant: Hashable, network: Hashable) -> None:
        place = asyncio.get_running_loop().create_future()
        refused = self._waiting.add(place, tenant, network)
        if refused is not None:
            self.counts.refused += 1
            if not refused.done():
                refused.set_exception(_busy())
        try:
            await place
        except asyncio.CancelledError:
            self._waiting.discard(place, tenant, network)
            if not place.cancelled() and place.exception() is None:
                self._end()
            raise

    def _end_after(self, turn: Turn) -> None:
        """Free the turn, once the thread is done: cancelling the caller does not stop a hash that has begun."""
        work, loop = turn.work, asyncio.get_running_loop()
        if work is None or work.done():
            self._end()
        else:
            work.add_done_callback(lambda _done: _soon(loop, self._end))

    def _end(self) -> None:
        while next_one := self._waiting.pop():
            _, place = next_one
            if not place.done():  # it may have been cancelled just now
                place.set_result(None)
                return
        self._free += 1


class Turn:
    """A caller's turn to hash. Use it inside its block only, for one password at a time."""

    def __init__(self, hasher: PasswordHasher, dummy: str, executor: ThreadPoolExecutor) -> None:
        self.work: Future[Any] | None = None
        """The work that was begun last."""
        self._hasher = hasher
        self._dummy = dummy
        self._executor = executor

    async def hash(self, password: str) -> str:
        """Return the encoded hash."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, encoded: str | None) -> Verdict:
        """Compare the password with the hash. None takes as long and never matches."""
        verdict = await self._run(lambda: self._compare(password, encoded or self._dummy))
        return verdict if encoded is not None else Verdict(matches=False)

    def _compare(self, password: str, encoded: str) -> Verdict:
        try:
            self._hasher.verify(encoded, password)
        except (Argon2Error, InvalidHashError):
            return Verdict(matches=False)
        return Verdict(matches=True, outdated=self._hasher.check_needs_rehash(encoded))

    async def _run(self, work: Callable[[], _T]) -> _T:
        future = self.work = self._executor.submit(work)
        return await asyncio.wrap_future(future)


def _busy() -> ResourceExhausted:
    return ResourceExhausted(
        "HASHING_BUSY",
        "Too many passwords of this tenant are being checked right now. No attempt was counted. Retry after the delay"
        " in RetryInfo.",
        retry_after=BUSY_RETRY,
    )


def _soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop ended before the thread did
        loop.call_soon_threadsafe(callback)
