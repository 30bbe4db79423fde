"""However many processes lease from a rate, in any window no more is admitted than it says."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.backends.memory.rate_store import MemoryRateStore
from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.limits import Rate, Takers
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import RedisSettings
from tests.contract.takers import taken_by
from tests.old_server import OldServer

SECONDS = 2.0


def most_over(admitted: list[tuple[float, float]], rate: Rate) -> float:
    """By how much the window that is worst is above what it may admit; never, if not above zero.

    A call counts in a window that holds both its question and its answer: when in between it was admitted, only the
    store knows.
    """
    worst = float("-inf")
    starts = sorted(asked for asked, _ in admitted)
    for start in starts[:: max(1, len(starts) // 300)]:
        answered = sorted(answer for asked, answer in admitted if asked >= start)
        for number, end in enumerate(answered, start=1):
            worst = max(worst, number - (rate.per_second * (end - start) + rate.burst))
    return worst


@pytest.mark.parametrize("rate", [Rate(1000, 200), Rate(300, 40), Rate(40, 10), Rate(20, 5)], ids=str)
async def test_no_window_admits_more_over_four_processes(valkey: Store, rate: Rate) -> None:
    key, url = f"tm:{{{uuid.uuid4()}}}:burst:api", valkey.url.get_secret_value()
    found = await taken_by("tests.contract.rate_taker", url, key, str(rate.per_second), str(rate.burst), str(SECONDS))
    admitted = sorted((asked, answer) for each in found for asked, answer in each["admitted"])
    decided = len(admitted) + sum(each["refused"] for each in found)
    asked = sum(each["asked"] for each in found)
    allowed = rate.per_second * SECONDS + rate.burst
    print(
        f"{rate}: {len(admitted)} of {allowed:.0f} admitted, {decided} decided, "
        f"{asked / decided:.3f} questions a decision, worst window {most_over(admitted, rate):+.1f}"
    )
    assert most_over(admitted, rate) <= 0
    assert len(admitted) >= rate.burst, "and what the rate gives is used"


async def test_no_window_admits_more_where_the_store_is_restarted(tmp_path: Path) -> None:
    stack, rate, key = (
        Engines(tmp_path, durable=False, temporary=True),
        Rate(50, 100),
        f"tm:{{{uuid.uuid4()}}}:burst:api",
    )
    stack.open()
    try:
        stack.valkey.start()
        before = await calls(stack.valkey, key, rate, seconds=2, old=True)
        stack.valkey.stop()
        stack.valkey.start()
        after = await calls(stack.valkey, key, rate, seconds=3)
    finally:
        stack.close()
    print(f"{len(before)} before, {len(after)} after, worst window {most_over(before + after, rate):+.1f}")
    assert len(before) >= rate.burst
    assert most_over(before + after, rate) <= 0
    assert len(after) >= rate.per_second, "it grows back from when the store started, or a second later"


async def calls(store: Store, key: str, rate: Rate, *, seconds: float, old: bool = False) -> list[tuple[float, float]]:
    """When calls that were admitted asked, and were answered."""
    client = connect(RedisSettings(url=store.url, timeout=timedelta(seconds=10)))
    limiter = LeasedRateLimiter(RedisRateStore(OldServer(client) if old else client))
    admitted, until = [], time.monotonic() + seconds
    while (asked := time.monotonic()) < until:
        if (await limiter.take(key, rate)).allowed:
            admitted.append((asked, time.monotonic()))
        await asyncio.sleep(0.001)
    await client.aclose()
    return admitted


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float

    def __call__(self) -> float:
        return self.now


async def test_no_window_uses_more_however_leases_are_used() -> None:
    """The store's promise by itself: whoever leases uses everything at the worst moment, in simulated time. Now and
    then the store forgets everything."""
    chance = random.Random(7)
    for _ in range(1000):
        rate = Rate(chance.choice([20, 100, 400, 1000]), chance.choice([10, 20, 57, 200]))
        clock = Clock(1000.0)
        store = MemoryRateStore(clock=clock)
        used: list[float] = []
        held: list[tuple[float, int]] = []
        for _ in range(chance.randint(10, 120)):
            clock.now += chance.choice([0.0, 0.0, 0.001, 0.004, 0.02, 0.06, 0.3])
            now = clock.now
            if chance.random() < 0.05:
                store = MemoryRateStore(clock=clock, began=now)
            expired = [each for each in held if each[0] <= now]
            held = [each for each in held if each[0] > now]
            # Leases are used at the last moment, or with everything else.
            used += [end for end, units in expired for _ in range(units)]
            if chance.random() < 0.2:
                used += [now for _, units in held for _ in range(units)]
                held = []
            grant = await store.take("key", rate, [Takers(1, chance.randint(0, 30))], chance.randint(0, rate.burst))
            used += [now] * grant.served[0]
            if grant.leased:
                held.append((now + grant.valid_for, grant.leased))
        used = sorted([*used, *(end for end, units in held for _ in range(units))])
        # In the window from one use to a later one there are `place` less `first` and one more. The worst start is the
        # one with the least place in what the rate has given by then.
        least = float("inf")
        for place, moment in enumerate(used):
            least = min(least, place - rate.per_second * moment)
            over = place + 1 - rate.per_second * moment - least - rate.burst
            assert over <= 1e-3, (rate, moment, over)
