"""The leased rate limiter where only its own way of asking matters; what every limiter must do is in the contract."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from tenantmesh.interceptors.backends.memory.rate_store import MemoryRateStore
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.limits import Rate, RateGrant, Takers

LARGER, LARGE, SMALL = Rate(30_000, 2_000), Rate(20_000, 1_000), Rate(5, 5)


class Slow(MemoryRateStore):
    """A store that is asked while others ask."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[Rate] = Counter()

    async def take(self, key: str, rate: Rate, takers: Sequence[Takers], lease: int) -> RateGrant:
        self.asked[rate] += 1
        await asyncio.sleep(0.002)
        return await super().take(key, rate, takers, lease)


@pytest.mark.parametrize(("after", "most"), [(SMALL, 5 + 5 * 1), (LARGER, 30_000)], ids=["lowered", "raised"])
async def test_a_changed_rate_is_in_force_under_load(after: Rate, most: int) -> None:
    """Somebody always waits: the question of one caller is under way when the next comes."""
    store = Slow()
    limiter = LeasedRateLimiter(store)
    rate, admitted, running = LARGE, Counter[Rate](), True

    async def caller(delay: float) -> None:
        await asyncio.sleep(delay)
        while running:
            asked = rate
            decision = await limiter.take("tm:{t}:burst:api", asked)
            admitted[asked] += decision.allowed
            await asyncio.sleep(0.001)

    callers = [asyncio.create_task(caller(number / 3000)) for number in range(10)]
    await asyncio.sleep(0.2)
    rate = after
    await asyncio.sleep(0.02)
    asked_by_then = store.asked[LARGE]
    await asyncio.sleep(0.5)
    running = False
    await asyncio.gather(*callers)
    assert store.asked[LARGE] == asked_by_then, "nobody asks under the old rate any more"
    assert 0 < admitted[after] <= most


async def test_who_waits_under_the_old_rate_is_answered() -> None:
    limiter = LeasedRateLimiter(Slow())
    waiting = [asyncio.create_task(limiter.take("tm:{t}:burst:api", rate)) for rate in (LARGE, LARGE, SMALL, SMALL)]
    decisions = await asyncio.gather(*waiting)
    assert [(each.allowed, each.limit) for each in decisions] == [(True, 1_000)] * 2 + [(True, 5)] * 2
