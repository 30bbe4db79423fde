"""What every RateLimiter must do, on every adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import redis.asyncio

from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors import Rate, RateLimiter, StoreUnavailable
from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.backends.memory.rate_store import MemoryRateStore
from tenantmesh.interceptors.backends.redis.rate_limiter import RedisRateLimiter
from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import RedisSettings
from tests.old_server import OldServer


@pytest.fixture(
    params=["memory", "valkey", "valkey_cluster", "leased memory", "leased valkey", "leased valkey_cluster"]
)
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    leased, store_name = request.param.startswith("leased "), request.param.removeprefix("leased ")
    if store_name == "memory":
        yield LeasedRateLimiter(MemoryRateStore()) if leased else MemoryRateLimiter()
        return
    store: Store = request.getfixturevalue(store_name)
    store.flush()
    client = connect(RedisSettings(url=store.url, cluster=store.cluster, timeout=timedelta(seconds=10)))
    yield LeasedRateLimiter(RedisRateStore(OldServer(client))) if leased else RedisRateLimiter(client)
    await client.aclose()


SLOW = Rate(per_second=0.01, burst=5)


async def test_a_burst_is_admitted_and_no_more(limiter: RateLimiter) -> None:
    decisions = [await limiter.take("tm:peer:{burst}:x", SLOW) for _ in range(7)]
    assert [each.allowed for each in decisions] == [True] * 5 + [False] * 2
    assert [each.remaining for each in decisions] == [4, 3, 2, 1, 0, 0, 0]
    assert all(each.limit == 5 for each in decisions)
    assert 0 < decisions[-1].retry_after.total_seconds() <= 100


async def test_the_time_until_the_whole_burst_is_there_again_counts_down(limiter: RateLimiter) -> None:
    rate = Rate(per_second=2, burst=3)
    taken = [await limiter.take("tm:peer:{full}:x", rate) for _ in range(3)]
    assert [round(each.full_in, 1) for each in taken] == pytest.approx([0.5, 1.0, 1.5], abs=0.11)
    refused = await limiter.take("tm:peer:{full}:x", rate)
    await asyncio.sleep(0.25)
    again = await limiter.take("tm:peer:{full}:x", rate)
    assert (refused.allowed, again.allowed) == (False, False)
    for decision in (refused, again):
        assert decision.full_in == pytest.approx(1.0 + decision.retry_after.total_seconds(), abs=0.06)
    assert 0.2 <= refused.full_in - again.full_in <= 0.4


async def test_a_refusal_takes_nothing(limiter: RateLimiter) -> None:
    assert not (await limiter.take("tm:peer:{refusal}:x", SLOW, cost=6)).allowed
    assert (await limiter.take("tm:peer:{refusal}:x", SLOW, cost=5)).allowed


async def test_keys_are_independent(limiter: RateLimiter) -> None:
    await limiter.take("tm:peer:{one}:x", SLOW, cost=5)
    assert (await limiter.take("tm:peer:{two}:x", SLOW, cost=5)).allowed


async def test_what_was_taken_grows_back(limiter: RateLimiter) -> None:
    rate = Rate(per_second=50, burst=1)
    assert (await limiter.take("tm:peer:{back}:x", rate)).allowed
    refused = await limiter.take("tm:peer:{back}:x", rate)
    assert not refused.allowed
    await asyncio.sleep(refused.retry_after.total_seconds() + 0.005)
    assert (await limiter.take("tm:peer:{back}:x", rate)).allowed


async def test_parallel_takes_share_one_burst(limiter: RateLimiter) -> None:
    decisions = await asyncio.gather(*(limiter.take("tm:peer:{parallel}:x", SLOW) for _ in range(50)))
    assert sum(each.allowed for each in decisions) == 5


async def test_a_store_that_is_away_is_said_to_be_so() -> None:
    client = redis.asyncio.Redis(host="127.0.0.1", port=1, socket_timeout=0.05, socket_connect_timeout=0.05)
    with pytest.raises(StoreUnavailable):
        await RedisRateLimiter(client).take("tm:peer:{x}:x", SLOW)
    await client.aclose()
