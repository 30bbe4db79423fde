"""Rates over all processes that cost a store call only now and then.

Everything is taken before it is used, never written behind. Takers of a key that come while the store is being asked
share the next question. A key that many calls want is leased from: the store gives units for the next moments, and
calls are decided from them in memory. A key that was refused is refused for as long as asking again would be no use.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tenantmesh.interceptors.limits import (
    LEASE_SHARE,
    Decision,
    Rate,
    RateGrant,
    RateStore,
    StoreUnavailable,
    Takers,
    leasable,
    slot_of,
)

__all__ = ["LeasedRateLimiter", "RateStats"]

CAPACITY = 20_000
DOWN_FOR = 1.0
"""Seconds for which a store that did not answer is not asked about the same key again. Other keys may be another
server's, where the store is a cluster; a client with a breaker of its own spares them the wait."""
LONGEST_HOLD_OFF = 0.025
"""Seconds for which a refused key is left alone, where its rate gives enough in them to be worth a question."""
AT_ONCE = timedelta()


@dataclass(slots=True)
class RateStats:
    """What it took to limit calls: units decided on in memory, calls of the store, units leased."""

    decided_here: int = 0
    asked: int = 0
    """Calls of the store."""
    leased: int = 0
    """Units taken from the store in advance."""


class _Waiter:
    __slots__ = ("answer", "cost")

    def __init__(self, cost: int) -> None:
        self.cost = cost
        self.answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()


class _Key:
    """What this process holds of one rate, and who waits for more."""

    __slots__ = (
        "asking", "demand", "down_until", "measured_at", "rate", "refused_cost", "refused_until", "remaining", "taken",
        "units", "usable_until", "waiting",
    )  # fmt: skip

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self.units = 0
        self.usable_until = self.refused_until = self.down_until = now
        self.refused_cost = 0
        self.remaining = rate.burst
        self.taken = 0
        """Units wanted since `measured_at`, and per second before that: how much is worth leasing."""
        self.measured_at = now
        self.demand = 0.0
        self.waiting: deque[_Waiter] = deque()
        self.asking: asyncio.Task[None] | None = None


class LeasedRateLimiter:
    """`RateLimiter` over a RateStore. `take_now` may be called from any thread, `take` on one loop only."""

    def __init__(self, store: RateStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._keys: dict[str, _Key] = {}
        self._lock = threading.Lock()
        self.stats = RateStats()

    def take_now(self, key: str, rate: Rate, cost: int = 1) -> Decision | None:
        """As `RateLimiter.take_now`: from a lease, or from the memory of a refusal."""
        known = self._keys.get(key)
        if known is None:
            return None
        now = self._clock()
        with self._lock:
            if known.rate is not rate and known.rate != rate:
                return None
            if known.units >= cost and now < known.usable_until:
                known.units -= cost
                known.taken += cost
                self.stats.decided_here += 1
                return Decision(True, rate.burst, known.remaining + known.units, AT_ONCE)
            if now < known.refused_until and cost >= known.refused_cost:
                self.stats.decided_here += 1
                return Decision(False, rate.burst, 0, timedelta(seconds=known.refused_until - now))
        return None

    async def take(self, key: str, rate: Rate, cost: int = 1) -> Decision:
        """As `RateLimiter.take`."""
        decided = self.take_now(key, rate, cost)
        if decided is not None:
            return decided
        known = self._known(key, rate)
        if self._clock() < known.down_until:
            raise StoreUnavailable("the rate limiter's store did not answer a moment ago")
        waiter = _Waiter(cost)
        known.waiting.append(waiter)
        if known.asking is None:
            # In a context of its own: it serves everybody who waits, and must not end with the first one's deadline.
            known.asking = asyncio.create_task(self._ask(key, known), context=contextvars.Context())
        return await waiter.answer

    def _known(self, key: str, rate: Rate) -> _Key:
        """What is held of the key under this rate. Under another one it begins anew at once: who asks for those that
        wait under the old rate is left to answer them, and under load would never have done."""
        known = self._keys.get(key)
        if known is None or known.rate != rate:
            known = _Key(rate, self._clock())
            with self._lock:
                self._keys.pop(key, None)
                self._keys[key] = known
                if len(self._keys) > CAPACITY:
                    self._drop_oldest()
        return known

    def _drop_oldest(self) -> None:
        oldest = next((key for key, known in self._keys.items() if known.asking is None), None)
        if oldest is not None:
            del self._keys[oldest]

    async def _ask(self, key: str, known: _Key) -> None:
        """Asks for everybody who waits, again and again until nobody does."""
        try:
            while waiters := [waiter for waiter in known.waiting if not waiter.answer.done()]:
                known.waiting.clear()
                rows = _rows(waiters)
                sent = self._clock()
                lease = self._worth_leasing(known, sum(waiter.cost for waiter in waiters), sent)
                try:
                    grant = await self._store.take(key, known.rate, rows, lease)
                except StoreUnavailable as error:
                    known.down_until = self._clock() + DOWN_FOR
                    self._fail([*waiters, *known.waiting], error)
                    return
                self.stats.asked += 1
                self._settle(known, grant, sent)
                self._answer(known, waiters, rows, grant, sent)
        except BaseException as error:
            self._fail([*waiters, *known.waiting], StoreUnavailable("asking the rate limiter's store failed"))
            if not isinstance(error, asyncio.CancelledError):
                raise
        finally:
            known.waiting.clear()
            known.asking = None

    def _worth_leasing(self, known: _Key, waiting: int, now: float) -> int:
        """How many units to take in advance: what came in the last moments will come in the next ones too."""
        with self._lock:
            taken, known.taken = known.taken + waiting, 0
        seconds = max(now - known.measured_at, 1e-3)
        known.measured_at = now
        weight = min(1.0, seconds / 0.2)
        known.demand += (taken / seconds - known.demand) * weight
        if not leasable(known.rate):
            return 0
        wanted = int(known.demand * slot_of(known.rate) * 1.5)  # a lease lives one slot to two
        return min(wanted, known.rate.burst // LEASE_SHARE) if wanted > 1 else 0

    def _settle(self, known: _Key, grant: RateGrant, sent: float) -> None:
        rate = known.rate
        with self._lock:
            known.remaining = max(0, int((rate.burst * rate.interval - grant.full_in) / rate.interval + 1e-6))
            if grant.leased:
                self.stats.leased += grant.leased
                known.units, known.usable_until = grant.leased, sent + grant.valid_for

    def _answer(self, known: _Key, waiters: list[_Waiter], rows: list[Takers], grant: RateGrant, sent: float) -> None:
        """Tells each waiter, the first of each row first."""
        rate, queue = known.rate, iter(waiters)
        for row, served in zip(rows, grant.served, strict=True):
            for number, waiter in enumerate(itertools.islice(queue, row.number)):
                if number < served:
                    _tell(waiter, Decision(True, rate.burst, known.remaining, AT_ONCE))
                    continue
                wait = max(0.0, grant.full_in + row.cost * rate.interval - rate.burst * rate.interval)
                hold_off = min(LONGEST_HOLD_OFF, rate.burst * rate.interval / LEASE_SHARE)
                with self._lock:
                    known.refused_until, known.refused_cost = sent + max(wait, hold_off), row.cost
                _tell(waiter, Decision(False, rate.burst, known.remaining, timedelta(seconds=wait)))

    def _fail(self, waiters: list[_Waiter], error: StoreUnavailable) -> None:
        for waiter in waiters:
            if not waiter.answer.done():
                waiter.answer.set_exception(error)


def _tell(waiter: _Waiter, decision: Decision) -> None:
    if not waiter.answer.done():
        waiter.answer.set_result(decision)


def _rows(waiters: list[_Waiter]) -> list[Takers]:
    return [Takers(cost, len(list(row))) for cost, row in itertools.groupby(waiter.cost for waiter in waiters)]
