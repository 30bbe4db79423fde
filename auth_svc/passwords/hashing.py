"""Hashes passwords with Argon2id in a bounded pool of threads. Knows neither users nor the rules of passwords."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from tenantmesh.interceptors.errors import ResourceExhausted

__all__ = ["Hashing", "default_hasher"]

_T = TypeVar("_T")

BUSY_RETRY = timedelta(seconds=1)
"""Roughly the time that a full queue takes to drain."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of comparing a password with a hash."""

    matches: bool
    outdated: bool = False
    """True when the hash matches, but was made with other parameters than the current ones."""


def default_hasher() -> PasswordHasher:
    """Return a hasher with OWASP's minimum for Argon2id: 19 MiB, two passes, one lane. It takes about 25 ms."""
    return PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


class Hashing:
    """Hashes and verifies in at most cores - 1 threads of its own. When the queue is full, it refuses at once.

    Argon2 fills the memory bus, so more threads do less work; and the event loop needs a core.
    """

    def __init__(self, hasher: PasswordHasher, *, cores: int | None = None) -> None:
        available = cores or os.cpu_count() or 1
        threads = max(1, available - 1)
        self._hasher = hasher
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._lock = threading.Lock()
        self._free = threads + 2 * available
        # Compared with when there is no account, so that an unknown address takes as long as a known one.
        self._dummy = hasher.hash(os.urandom(16).hex())

    async def hash(self, password: str) -> str:
        """Return the encoded hash. Raises ResourceExhausted `HASHING_BUSY` when the queue is full."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, encoded: str | None) -> Verdict:
        """Compare the password with the hash. None takes as long and never matches. Raises as `hash`."""
        verdict = await self._run(lambda: self._compare(password, encoded or self._dummy))
        return verdict if encoded is not None else Verdict(matches=False)

    async def close(self) -> None:
        """Cancel the queue, and let the threads end."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _compare(self, password: str, encoded: str) -> Verdict:
        try:
            self._hasher.verify(encoded, password)
        except (Argon2Error, InvalidHashError):
            return Verdict(matches=False)
        return Verdict(matches=True, outdated=self._hasher.check_needs_rehash(encoded))

    async def _run(self, work: Callable[[], _T]) -> _T:
        with self._lock:
            if self._free <= 0:
                raise ResourceExhausted(
                    "HASHING_BUSY",
                    "Too many passwords are being checked right now. Retry after the delay in RetryInfo.",
                    retry_after=BUSY_RETRY,
                )
            self._free -= 1
        future = self._executor.submit(work)
        # The place is freed when the thread is done: cancelling the caller does not stop a hash that has begun.
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def _release(self, _done: Future[_T]) -> None:
        with self._lock:
            self._free += 1
