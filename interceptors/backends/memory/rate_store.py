"""A rate store in memory: for tests, and as the plainest statement of the rules of `backends.redis.rate_store`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from tenantmesh.interceptors.limits import LEASE_SHARE, Rate, RateGrant, Takers, slot_of

__all__ = ["MemoryRateStore"]


class _Key:
    """The state of a rate: when it would be full again, and the units leased by when they expire."""

    __slots__ = ("arrival", "leases")

    def __init__(self, arrival: float) -> None:
        self.arrival = arrival
        self.leases: dict[float, int] = {}

    def keep_leases(self, now: float, latest: float) -> None:
        """Drop expired leases. No lease outlasts a new one, even after the clock was set back."""
        kept: dict[float, int] = {}
        for end, units in self.leases.items():
            if end > now:
                kept[min(end, latest)] = kept.get(min(end, latest), 0) + units
        self.leases = kept


class MemoryRateStore:
    """A RateStore over a dictionary that keeps every key. `began` is when the store began, on the clock: every burst
    counts as taken then, since an earlier store may have given it out."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, began: float = -math.inf) -> None:
        self._keys: dict[str, _Key] = {}
        self._clock = clock
        self._began = began

    async def take(self, key: str, rate: Rate, takers: Sequence[Takers], lease: int) -> RateGrant:
        """As `RateStore.take`; never unavailable."""
        now = self._clock()
        state = self._keys.setdefault(key, _Key(self._began + rate.burst * rate.interval))
        room = now + rate.burst * rate.interval
        state.arrival = min(max(state.arrival, now), room)
        state.keep_leases(now, _expiry(rate, now))
        served = []
        for cost, number in takers:
            fit = min(number, _whole((room - state.arrival) / rate.interval / cost))
            state.arrival += fit * cost * rate.interval
            served.append(fit)
        wanted = lease if all(fit == row.number for fit, row in zip(served, takers, strict=True)) else 0
        leased, valid_for = self._lease(state, rate, now, wanted)
        return RateGrant(tuple(served), leased, state.arrival - now, valid_for)

    def _lease(self, state: _Key, rate: Rate, now: float, wanted: int) -> tuple[int, float]:
        slot, out, room = slot_of(rate), sum(state.leases.values()), now + rate.burst * rate.interval
        fits = _whole((room - state.arrival) / rate.interval)
        kept = _whole((room - now - 2 * slot) / rate.interval) - out
        leased = min(wanted, rate.burst // LEASE_SHARE - out, fits, kept)
        if leased <= 0:
            return 0, 0.0
        grown = now + (out + leased) * rate.interval + 2 * slot
        state.arrival = max(state.arrival + leased * rate.interval, grown)
        expires = _expiry(rate, now)
        state.leases[expires] = state.leases.get(expires, 0) + leased
        return leased, expires - now


def _expiry(rate: Rate, now: float) -> float:
    slot = slot_of(rate)
    return (math.floor(now / slot) + 2) * slot


def _whole(units: float) -> int:
    return max(0, math.floor(units + 1e-6))
