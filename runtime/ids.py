"""Identifiers made by the service itself, so that no PostgreSQL newer than 15 is needed.

Nothing here is a secret: tokens and keys come from `secrets`.
"""

from __future__ import annotations

import os
import threading
import time
import uuid

__all__ = ["Uuid7Source", "uuid7"]

_COUNTER_BITS = 42
_RANDOM_BITS = 32
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62


class Uuid7Source:
    """Makes UUIDv7s (RFC 9562) that only grow, also when the clock steps back. Safe for threads and for forks.

    48 bits of Unix milliseconds, a 42-bit counter that starts at a random value below its middle in each millisecond
    and counts up within it, 32 random bits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._position = 0  # milliseconds and counter as one number: the last one given out
        os.register_at_fork(after_in_child=self._forget)

    def next(self) -> uuid.UUID:
        """Return an identifier greater than all that this source returned before."""
        random = int.from_bytes(os.urandom(10), "big")
        fresh = (time.time_ns() // 1_000_000 << _COUNTER_BITS) | (random >> _RANDOM_BITS & (1 << _COUNTER_BITS - 1) - 1)
        with self._lock:
            self._position = position = max(fresh, self._position + 1)
        return _layout(position, random & (1 << _RANDOM_BITS) - 1)

    def _forget(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent may have held it while forking


def _layout(position: int, tail: int) -> uuid.UUID:
    milliseconds, counter = position >> _COUNTER_BITS, position & (1 << _COUNTER_BITS) - 1
    high, low = counter >> 30, counter & (1 << 30) - 1
    return uuid.UUID(int=milliseconds << 80 | _VERSION | high << 64 | _VARIANT | low << _RANDOM_BITS | tail)


uuid7 = Uuid7Source().next
