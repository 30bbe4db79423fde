"""Clocks that are set: the store's, under the scripts of bursts and of pools."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors import Rate
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.backends.memory.rate_store import MemoryRateStore
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.backends.redis.rate_limiter import RedisRateLimiter
from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.limits import RateLimiter
from tenantmesh.interceptors.quotas import Charge, Shortage
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import RedisSettings
from tests.old_server import OldServer

HOUR = 3600.0


class Clock:
    """A clock that can be set: the memory adapters read it, and a store's scripts read its step."""

    def __init__(self) -> None:
        self.step = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.step

    def stepped(self, client: Any) -> Any:
        """The client, on a server whose clock is as far off as this one."""
        return _Stepped(client, self)


class _Stepped:
    def __init__(self, client: Any, clock: Clock) -> None:
        self._client, self._clock = client, clock

    def register_script(self, script: str) -> Any:
        if "TIME" not in script:
            return self._client.register_script(script)
        assert "redis.call('TIME')" in script

        async def call(keys: list[str], args: list[Any]) -> Any:
            off = f"(function(at) return {{at[1] + {self._clock.step:.0f}, at[2]}} end)(redis.call('TIME'))"
            return await self._client.register_script(script.replace("redis.call('TIME')", off))(keys=keys, args=args)

        return call


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(valkey: Store) -> AsyncIterator[Any]:
    made = connect(RedisSettings(url=valkey.url, timeout=timedelta(seconds=10)))
    yield made
    await made.aclose()


@pytest.fixture(params=["memory", "valkey", "leased memory", "leased valkey"])
def limiter(request: pytest.FixtureRequest, clock: Clock, client: Any) -> RateLimiter:
    adapters: dict[str, Any] = {
        "memory": lambda: MemoryRateLimiter(clock=clock),
        "valkey": lambda: RedisRateLimiter(clock.stepped(client)),
        "leased memory": lambda: LeasedRateLimiter(MemoryRateStore(clock=clock)),
        "leased valkey": lambda: LeasedRateLimiter(RedisRateStore(clock.stepped(OldServer(client)))),
    }
    made: RateLimiter = adapters[request.param]()
    return made


def key() -> str:
    return f"tm:{{{uuid.uuid4()}}}:burst:api"


async def admitted(limiter: RateLimiter, name: str, rate: Rate, *, calls: int) -> int:
    return sum([(await limiter.take(name, rate)).allowed for _ in range(calls)])


async def test_a_clock_that_is_set_back_admits_no_more_at_once_and_is_caught_up_with_soon(
    limiter: RateLimiter, clock: Clock
) -> None:
    rate, name = Rate(per_second=20, burst=5), key()
    assert await admitted(limiter, name, rate, calls=5) == 5
    clock.step -= HOUR
    assert await admitted(limiter, name, rate, calls=5) <= 1, "what was taken is not forgotten"
    await asyncio.sleep(5 * rate.interval + 0.1)
    assert await admitted(limiter, name, rate, calls=5) >= 4, "nobody waits for an hour"


async def test_a_clock_that_is_set_forward_gives_one_burst(limiter: RateLimiter, clock: Clock) -> None:
    rate, name = Rate(per_second=0.01, burst=5), key()
    assert await admitted(limiter, name, rate, calls=5) == 5
    clock.step += HOUR
    assert await admitted(limiter, name, rate, calls=12) == 5


async def test_leases_of_a_clock_that_was_set_back_expire(clock: Clock, client: Any) -> None:
    rate, name = Rate(per_second=1000, burst=400), key()
    for store in (MemoryRateStore(clock=clock), RedisRateStore(clock.stepped(OldServer(client)))):
        assert (await store.take(name, rate, [], 100)).leased == 100
        clock.step -= HOUR
        assert (await store.take(name, rate, [], 100)).leased == 0
        await asyncio.sleep(0.45)
        assert (await store.take(name, rate, [], 100)).leased > 0, "the lease of before counts no longer"


async def test_a_server_whose_clock_was_set_back_to_before_its_start_is_no_new_one(clock: Clock, client: Any) -> None:
    class Earlier:
        """INFO counts from the start: where that lies ahead, below zero."""

        def register_script(self, script: str) -> Any:
            return client.register_script(script.replace("redis.call('INFO', 'server')", "'uptime_in_seconds:-3599'"))

    clock.step -= HOUR
    limiter = LeasedRateLimiter(RedisRateStore(clock.stepped(Earlier())))
    assert await admitted(limiter, key(), Rate(per_second=0.01, burst=5), calls=7) == 5


async def test_a_smaller_burst_owes_no_more_than_itself(limiter: RateLimiter) -> None:
    name = key()
    await admitted(limiter, name, Rate(per_second=20, burst=100), calls=100)
    small = Rate(per_second=20, burst=2)
    assert await admitted(limiter, name, small, calls=5) <= 1
    await asyncio.sleep(0.2)
    assert await admitted(limiter, name, small, calls=2) == 2


@pytest.mark.parametrize("seed", range(4))
async def test_no_step_of_the_stores_clock_serves_one_unit_too_many(clock: Clock, client: Any, seed: int) -> None:
    chance, limit = random.Random(seed), 400
    tenant, charges = TenantId(uuid.uuid4()), (Charge("reads", 1),)
    ledger = MemoryQuotaLedger(lambda *_: limit, period=timedelta(days=3650))
    processes = [LeasedQuota(ledger, RedisQuotaPool(clock.stepped(client))) for _ in range(3)]
    served, stepping = 0, time.monotonic()
    while time.monotonic() < stepping + 3:
        taken = await asyncio.gather(*(take(process, tenant, charges) for process in processes for _ in range(4)))
        served += sum(taken)
        if chance.random() < 0.05:
            clock.step += chance.choice([-HOUR, HOUR, -0.5, 0.5, 86_400 * 2, -86_400 * 2])
        if served and not any(taken):
            await asyncio.sleep(0.02)
    lost = sum(process.stats.forfeited for process in processes)
    print(f"{served} of {limit} served, {lost} known to be forfeited, {ledger.given(tenant, 'reads')} given")
    assert limit * 0.8 <= served <= limit
    for process in processes:
        await process.close()


async def take(process: LeasedQuota, tenant: TenantId, charges: tuple[Charge, ...]) -> bool:
    found = process.charge_now(tenant, charges, time.perf_counter())
    if found is None:
        found = await process.charge(tenant, charges)
    return not isinstance(found, Shortage)
