"""A circuit breaker for a store that may fail for one key alone: for a tenant, or for a rate."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.limits import StoreUnavailable

__all__ = ["CAPACITY", "KeyedBreaker"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

OPEN_SECONDS = 1.0
"""Seconds for which a store that did not answer is not asked again."""
CAPACITY = 20_000
"""Keys whose failure is remembered."""


class KeyedBreaker(Generic[K]):
    """After a failure, stops asking about the same key for a moment. Other keys may be another server's.

    A failure does not tell a locked row from lost contact. Who knows that contact is lost says so by `lose`: then the
    breaker opens for all keys.
    """

    def __init__(self, clock: Callable[[], float], *, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._failed_at: dict[K, float] = {}
        """The oldest failure stands first."""
        self._lost_at: float | None = None

    @property
    def lost(self) -> bool:
        """True while the breaker is open for all keys."""
        return self._lost_at is not None and self._clock() < self._lost_at + OPEN_SECONDS

    @property
    def remembered(self) -> int:
        """The keys whose failure is remembered."""
        return len(self._failed_at)

    def closed(self, key: K, *, after: float = OPEN_SECONDS) -> bool:
        """Return whether the store may be asked about the key: the last failure is at least `after` seconds ago."""
        failed_at = self._failed_at.get(key)
        if failed_at is None and self._lost_at is None:
            return True
        failures = [moment for moment in (failed_at, self._lost_at) if moment is not None]
        return self._clock() >= max(failures) + after

    async def ask(self, key: K, question: Coroutine[Any, Any, T]) -> T:
        """Return the answer. StoreUnavailable counts as a failure; a refusal (MeshError) is an answer. Raises both."""
        try:
            answer = await question
        except StoreUnavailable:
            self.failed(key)
            raise
        except MeshError:
            self.answered(key)
            raise
        self.answered(key)
        return answer

    def answered(self, key: K) -> None:
        """Count an answer to a question that was not asked by `ask`."""
        self._failed_at.pop(key, None)
        self._lost_at = None

    def failed(self, key: K) -> None:
        """Count a failure of a question that was not asked by `ask`."""
        self._failed_at.pop(key, None)
        self._failed_at[key] = self._clock()
        if len(self._failed_at) > self._capacity:
            del self._failed_at[next(iter(self._failed_at))]

    def lose(self) -> None:
        """Open for all keys: contact with the store is lost."""
        self._lost_at = self._clock()
