"""Burst limits over all processes that ask their store only now and then.

Units are taken before they are used, never written behind. Calls for a key that come while the store is being asked
share the next question. A key with much demand is leased from: the store gives units for the next moments, and calls
take those from memory. A refused key stays refused for as long as asking again would be of no use.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tenantmesh.interceptors.leases.breaker import KeyedBreaker
from tenantmesh.interceptors.limits import (
    LEASE_SHARE,
    Rate,
    RateDecision,
    RateGrant,
    RateStore,
    StoreUnavailable,
    Takers,
    leasable,
    slot_of,
)
from tenantmesh.interceptors.tasks import shared_task

__all__ = ["LeasedRateLimiter"]

CAPACITY = 20_000
"""Keys that are cached."""
DEMAND_SECONDS = 0.2
"""Time constant of the average that measures demand."""
LEASE_SLOTS = 1.5
"""Slots of demand that a lease covers: it lives for one slot to two."""
LONGEST_HOLD_OFF = 0.025
"""Longest time for which a refused key is not asked about again, in seconds, where it grows back sooner."""
AT_ONCE = timedelta()


@dataclass(slots=True)
class RateStats:
    """Counters of the limiter."""

    decided_here: int = 0
    """Calls decided from memory."""
    asked: int = 0
    """Calls of the store."""
    leased: int = 0
    """Units leased from the store."""


class _Waiter:
    """A call that waits for the store."""

    __slots__ = ("answer", "cost")

    def __init__(self, cost: int) -> None:
        self.cost = cost
        self.answer: asyncio.Future[RateDecision] = asyncio.get_running_loop().create_future()

    def decide(self, decision: RateDecision) -> None:
        """Answer the call, unless it has left."""
        if not self.answer.done():
            self.answer.set_result(decision)


class _Bucket:
    """The state of one key under one rate: its lease, the last refusal, and the calls that wait for the store."""

    __slots__ = (
        "asking", "demand", "full_at", "measured_at", "rate", "refused_cost", "refused_until", "remaining", "requested",
        "units", "usable_until", "waiters",
    )  # fmt: skip

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self.units = 0
        self.usable_until = self.refused_until = self.full_at = now
        self.refused_cost = 0
        self.remaining = rate.burst
        self.requested = 0
        """Units that calls requested since `measured_at`, and per second before that."""
        self.measured_at = now
        self.demand = 0.0
        self.waiters: deque[_Waiter] = deque()
        self.asking: asyncio.Task[None] | None = None

    def fail(self, asked: list[_Waiter], error: StoreUnavailable) -> None:
        """Raise the error in the calls that were asked for, and in those that came meanwhile."""
        for waiter in (*asked, *self.waiters):
            if not waiter.answer.done():
                waiter.answer.set_exception(error)


class LeasedRateLimiter:
    """`RateLimiter` over a RateStore. `take_now` may be called from any thread, `take` on one loop only."""

    def __init__(self, store: RateStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._lock = threading.Lock()
        self._breaker = KeyedBreaker[str](clock)
        self.stats = RateStats()

    def take_now(self, key: str, rate: Rate, cost: int = 1) -> RateDecision | None:
        """As `RateLimiter.take_now`: from a lease, or from the memory of a refusal."""
        bucket = self._buckets.get(key)
        if bucket is None:
            return None
        now = self._clock()
        with self._lock:
            if bucket.rate is not rate and bucket.rate != rate:
                return None
            if bucket.units >= cost and now < bucket.usable_until:
                bucket.units -= cost
                bucket.requested += cost
                self.stats.decided_here += 1
                return RateDecision(True, rate.burst, bucket.remaining + bucket.units, AT_ONCE, bucket.full_at - now)
            if now < bucket.refused_until and cost >= bucket.refused_cost:
                self.stats.decided_here += 1
                wait = timedelta(seconds=bucket.refused_until - now)
                return RateDecision(False, rate.burst, 0, wait, bucket.full_at - now)
        return None

    async def take(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        """As `RateLimiter.take`."""
        decided = self.take_now(key, rate, cost)
        if decided is not None:
            return decided
        bucket = self._bucket(key, rate)
        if not self._breaker.closed(key):
            raise StoreUnavailable("the rate limiter's store did not answer a moment ago")
        waiter = _Waiter(cost)
        bucket.waiters.append(waiter)
        if bucket.asking is None:
            bucket.asking = shared_task(self._ask(key, bucket))
        return await waiter.answer

    def _bucket(self, key: str, rate: Rate) -> _Bucket:
        """Return the key's state under this rate. If the rate changed, start fresh state now. The asking task of the
        old rate still answers its own waiters; waiting for it would never end under load."""
        bucket = self._buckets.get(key)
        if bucket is None or bucket.rate != rate:
            bucket = _Bucket(rate, self._clock())
            with self._lock:
                self._buckets.pop(key, None)
                self._buckets[key] = bucket
                if len(self._buckets) > CAPACITY:
                    self._evict()
        return bucket

    def _evict(self) -> None:
        oldest = next((key for key, bucket in self._buckets.items() if bucket.asking is None), None)
        if oldest is not None:
            del self._buckets[oldest]

    async def _ask(self, key: str, bucket: _Bucket) -> None:
        """Ask for all waiting calls, again and again until none waits."""
        waiters: list[_Waiter] = []
        try:
            while waiters := [waiter for waiter in bucket.waiters if not waiter.answer.done()]:
                bucket.waiters.clear()
                rows = _rows(waiters)
                sent = self._clock()
                lease = self._lease_size(bucket, sum(waiter.cost for waiter in waiters), sent)
                try:
                    grant = await self._store.take(key, bucket.rate, rows, lease)
                except StoreUnavailable as error:
                    self._breaker.failed(key)
                    bucket.fail(waiters, error)
                    return
                self._breaker.answered(key)
                self.stats.asked += 1
                self._add_lease(bucket, grant, sent)
                self._answer(bucket, waiters, rows, grant, sent)
        except BaseException as error:
            bucket.fail(waiters, StoreUnavailable("asking the rate limiter's store failed"))
            if not isinstance(error, asyncio.CancelledError):
                raise
        finally:
            bucket.waiters.clear()
            bucket.asking = None

    def _lease_size(self, bucket: _Bucket, requested: int, now: float) -> int:
        """Units to lease: the demand of the last moments will be that of the next ones."""
        with self._lock:
            requested, bucket.requested = bucket.requested + requested, 0
        seconds = max(now - bucket.measured_at, 1e-3)
        bucket.measured_at = now
        bucket.demand += (requested / seconds - bucket.demand) * min(1.0, seconds / DEMAND_SECONDS)
        if not leasable(bucket.rate):
            return 0
        wanted = int(bucket.demand * slot_of(bucket.rate) * LEASE_SLOTS)
        return min(wanted, bucket.rate.burst // LEASE_SHARE) if wanted > 1 else 0

    def _add_lease(self, bucket: _Bucket, grant: RateGrant, sent: float) -> None:
        rate = bucket.rate
        with self._lock:
            bucket.remaining = max(0, int((rate.burst * rate.interval - grant.full_in) / rate.interval + 1e-6))
            bucket.full_at = sent + grant.full_in
            if grant.leased:
                self.stats.leased += grant.leased
                bucket.units, bucket.usable_until = grant.leased, sent + grant.valid_for

    def _answer(
        self, bucket: _Bucket, waiters: list[_Waiter], rows: list[Takers], grant: RateGrant, sent: float
    ) -> None:
        """Admit the first calls of each row, as many as were served, and refuse the others."""
        rate, queue = bucket.rate, iter(waiters)
        for row, served in zip(rows, grant.served, strict=True):
            for number, waiter in enumerate(itertools.islice(queue, row.number)):
                if number < served:
                    waiter.decide(RateDecision(True, rate.burst, bucket.remaining, AT_ONCE, grant.full_in))
                    continue
                wait = max(0.0, grant.full_in + row.cost * rate.interval - rate.burst * rate.interval)
                hold_off = min(LONGEST_HOLD_OFF, rate.burst * rate.interval / LEASE_SHARE)
                with self._lock:
                    bucket.refused_until, bucket.refused_cost = sent + max(wait, hold_off), row.cost
                retry_after = timedelta(seconds=wait)
                waiter.decide(RateDecision(False, rate.burst, bucket.remaining, retry_after, grant.full_in))


def _rows(waiters: list[_Waiter]) -> list[Takers]:
    return [Takers(cost, len(list(row))) for cost, row in itertools.groupby(waiter.cost for waiter in waiters)]
