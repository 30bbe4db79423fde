"""A rate limiter in memory: for one process, for tests, and for the time that a store is away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta

from tenantmesh.interceptors.limits import Rate, RateDecision

__all__ = ["MemoryRateLimiter"]

AT_ONCE = timedelta()


class MemoryRateLimiter:
    """A RateLimiter by the generic cell rate algorithm (ITU-T I.371), over a bounded dictionary.

    The state of a key is one number: the theoretical arrival time, at which it would be full again. Beyond `capacity`
    keys the least recently used is evicted, so that probing can't grow memory.
    """

    def __init__(self, *, capacity: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._arrival: OrderedDict[str, float] = OrderedDict()
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()

    async def take(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        """As `RateLimiter.take`; never unavailable."""
        return self.take_now(key, rate, cost)

    def take_now(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        """As `take`, without waiting. Any thread may call it."""
        now, interval = self._clock(), rate.interval
        room = now + rate.burst * interval
        with self._lock:
            known = self._arrival.get(key, now)
            arrival = now if known < now else min(known, room)
            full_at = arrival + cost * interval
            if full_at > room + 1e-9:
                if known > room:
                    self._arrival[key] = room
                wait = timedelta(seconds=full_at - room)
                return RateDecision(False, rate.burst, _whole((room - arrival) / interval), wait, arrival - now)
            self._arrival[key] = full_at
            self._arrival.move_to_end(key)
            if len(self._arrival) > self._capacity:
                self._arrival.popitem(last=False)
        return RateDecision(True, rate.burst, int((room - full_at) / interval + 1e-6), AT_ONCE, full_at - now)

    def give_back(self, key: str, rate: Rate, cost: int = 1) -> None:
        """As `LocalRateLimiter.give_back`."""
        with self._lock:
            if key in self._arrival:
                self._arrival[key] -= cost * rate.interval


def _whole(calls: float) -> int:
    return max(0, int(calls + 1e-6))
