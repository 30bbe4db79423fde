"""What every QuotaPool must do, on every adapter."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import redis.asyncio

from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors import StoreUnavailable, TenantId
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaPool
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.quotas import Ask, Drained, QuotaPool, Slice
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import RedisSettings

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
TOMORROW = TODAY + timedelta(days=1)
MANY = 1_000_000
UNITS = Slice("reads", 100, 900, 1000, TODAY, timedelta(hours=1))


@pytest.fixture(params=["memory", "valkey", "valkey_cluster"])
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[QuotaPool]:
    if request.param == "memory":
        yield MemoryQuotaPool()
        return
    store: Store = request.getfixturevalue(request.param)
    store.flush()
    client = connect(RedisSettings(url=store.url, cluster=store.cluster, timeout=timedelta(seconds=10)))
    yield RedisQuotaPool(client)
    await client.aclose()


@pytest.fixture
def tenant() -> TenantId:
    return TenantId(uuid.uuid4())


async def clock(pool: QuotaPool) -> float:
    return (await pool.take(TenantId(uuid.uuid4()), [Ask("reads", 1, 1)], [MANY])).clock


async def fill(pool: QuotaPool, tenant: TenantId, amount: int, units: Slice = UNITS, seconds: float = 3600) -> bool:
    return await pool.add(tenant, units, amount, await clock(pool) + seconds)


async def taken(pool: QuotaPool, tenant: TenantId, want: int, need: int = 1, limit: int = 1000) -> int | None:
    (found,) = (await pool.take(tenant, [Ask("reads", want, need)], [limit])).slices
    return None if found is None else found.granted


async def test_a_pool_that_nobody_filled_has_nothing(pool: QuotaPool, tenant: TenantId) -> None:
    assert await taken(pool, tenant, 1) is None
    assert not await pool.give_back(tenant, "reads", 1, TODAY, 1000)
    assert await pool.drain(tenant, "reads") is None


async def test_what_was_added_can_be_taken_once(pool: QuotaPool, tenant: TenantId) -> None:
    assert await fill(pool, tenant, 3)
    (found,) = (await pool.take(tenant, [Ask("reads", 2, 1)], [1000])).slices
    assert found is not None
    assert (found.meter, found.granted, found.pooled, found.left, found.limit) == ("reads", 2, 1, 900, 1000)
    assert found.period_start == TODAY
    assert timedelta(minutes=59) < found.ends_in <= timedelta(hours=1)
    assert await taken(pool, tenant, 2) == 1
    assert await taken(pool, tenant, 1) is None


async def test_tenants_and_meters_are_apart(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 3)
    assert await taken(pool, TenantId(uuid.uuid4()), 1) is None
    assert (await pool.take(tenant, [Ask("writes", 1, 1)], [1000])).slices == [None]


async def test_a_slice_is_an_eighth_of_what_is_left(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 60, replace(UNITS, left=20))
    assert await taken(pool, tenant, 50) == 10
    assert await taken(pool, tenant, 5) == 5
    assert await taken(pool, tenant, 30, need=30) == 30, "but never less than is needed"
    assert await taken(pool, tenant, 16, need=16) is None


async def test_near_the_limit_slices_are_single_units(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 8, replace(UNITS, left=0))
    assert [await taken(pool, tenant, 5) for _ in range(9)] == [1] * 8 + [None]


async def test_all_meters_or_none(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 5)
    asks = [Ask("reads", 2, 1), Ask("writes", 1, 1)]
    first, second = (await pool.take(tenant, asks, [1000, 1000])).slices
    assert first is not None
    assert (first.granted, first.pooled, second) == (0, 5, None)
    await fill(pool, tenant, 5, replace(UNITS, meter="writes"))
    answer = (await pool.take(tenant, asks, [1000, 1000])).slices
    assert [each and each.granted for each in answer] == [2, 1]


async def test_parallel_takers_share_what_there_is(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 20)
    found = await asyncio.gather(*(taken(pool, tenant, 3) for _ in range(40)))
    assert sum(each or 0 for each in found) == 20


async def test_a_pool_of_a_higher_limit_is_left_for_draining(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 5)
    assert await taken(pool, tenant, 1, limit=999) is None
    assert not await fill(pool, tenant, 5, replace(UNITS, limit=500)), "units of another limit do not mix"
    assert await pool.drain(tenant, "reads") == Drained(5, TODAY)
    assert await fill(pool, tenant, 5, replace(UNITS, limit=500))
    assert await taken(pool, tenant, 1, limit=999) == 1


async def test_units_of_another_limit_do_not_come_back(pool: QuotaPool, tenant: TenantId) -> None:
    """A slice that was leased before a limit was lowered, or raised, is the ledger's to take back."""
    await fill(pool, tenant, 5)
    for limit in (999, 1001):
        assert not await pool.give_back(tenant, "reads", 5, TODAY, limit)
    assert await pool.give_back(tenant, "reads", 2, TODAY, 1000)
    assert await pool.drain(tenant, "reads") == Drained(7, TODAY)


async def test_units_of_a_period_end_with_it(pool: QuotaPool, tenant: TenantId) -> None:
    assert await fill(pool, tenant, 5, seconds=0.02)
    await asyncio.sleep(0.03)
    assert await taken(pool, tenant, 1) is None
    assert not await pool.give_back(tenant, "reads", 1, TODAY, 1000)
    assert not await fill(pool, tenant, 5, seconds=0), "nor can they be added when it is over"


async def test_units_that_are_added_shorten_what_the_others_have(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 1, seconds=100)
    await fill(pool, tenant, 1, seconds=50)
    await fill(pool, tenant, 1, seconds=100)
    (found,) = (await pool.take(tenant, [Ask("reads", 3, 3)], [1000])).slices
    assert found is not None
    assert found.granted == 3
    assert found.ends_in <= timedelta(seconds=50)


async def test_a_later_period_replaces_an_earlier_one(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 5)
    later = replace(UNITS, period_start=TOMORROW)
    assert await fill(pool, tenant, 2, later)
    assert not await fill(pool, tenant, 5), "and an earlier one does not come back"
    assert not await pool.give_back(tenant, "reads", 5, TODAY, 1000)
    assert await pool.give_back(tenant, "reads", 1, TOMORROW, 1000)
    assert await pool.drain(tenant, "reads") == Drained(3, TOMORROW)


async def test_a_pool_is_drained_when_nobody_takes_from_it(pool: QuotaPool, tenant: TenantId) -> None:
    await fill(pool, tenant, 5)
    assert await pool.drain(tenant, "reads", timedelta(hours=1)) is None
    await asyncio.sleep(0.02)
    assert await pool.drain(tenant, "reads", timedelta(milliseconds=10)) == Drained(5, TODAY)
    assert await taken(pool, tenant, 1) is None


async def test_amounts_and_periods_are_exact(pool: QuotaPool, tenant: TenantId) -> None:
    start = TODAY + timedelta(microseconds=123_457)
    most = 9_007_199_254_740_000
    await fill(pool, tenant, most, replace(UNITS, period_start=start, limit=most, left=most))
    assert await taken(pool, tenant, 1, limit=most) == 1
    assert await pool.drain(tenant, "reads") == Drained(most - 1, start)


async def test_all_who_share_a_pool_lease_under_one_account(store: Store) -> None:
    store.flush()
    client = connect(RedisSettings(url=store.url, cluster=store.cluster, timeout=timedelta(seconds=10)))
    pools = [RedisQuotaPool(client) for _ in range(3)]
    (account,) = {each for found in await asyncio.gather(*(pool.accounts() for pool in pools)) for each in found}
    assert uuid.UUID(account).version == 4, "at random: nobody without the store can guess it"
    store.flush()
    pools[0]._look_at = 0.0
    assert await pools[0].accounts() == (account,), "an emptied store gets it back"
    assert await RedisQuotaPool(client).accounts() == (account,)
    store.flush()
    newcomer = RedisQuotaPool(client)
    (other,) = await newcomer.accounts()
    pools[0]._look_at = 0.0
    assert await pools[0].accounts() == (other, account), "what it leased before can be returned still"
    await client.aclose()


async def test_what_a_restarted_server_remembers_counts_for_nothing(valkey: Store, tenant: TenantId) -> None:
    """As when a replica is promoted, or an old dump is loaded: units that were taken since would be there again."""
    client = connect(RedisSettings(url=valkey.url, timeout=timedelta(seconds=10)))
    pool = RedisQuotaPool(client)
    await fill(pool, tenant, 5)
    key = f"tm:{{{tenant}}}:quota:reads"
    assert await client.hset(key, "run", "0" * 40) == 0
    assert await taken(pool, tenant, 1) is None
    assert not await client.exists(key)
    await client.aclose()


async def test_keys_carry_the_tenant_and_expire(valkey: Store, tenant: TenantId) -> None:
    client = connect(RedisSettings(url=valkey.url, timeout=timedelta(seconds=10)))
    await fill(RedisQuotaPool(client), tenant, 5, seconds=100)
    assert 99_000 < await client.pttl(f"tm:{{{tenant}}}:quota:reads") <= 100_001
    await client.aclose()


async def test_a_store_that_is_away_is_said_to_be_so(tenant: TenantId) -> None:
    client = redis.asyncio.Redis(host="127.0.0.1", port=1, socket_timeout=0.05, socket_connect_timeout=0.05)
    pool = RedisQuotaPool(client)
    for question in (
        pool.take(tenant, [Ask("reads", 1, 1)], [1]),
        pool.add(tenant, UNITS, 1, 1.0),
        pool.give_back(tenant, "reads", 1, TODAY, 1000),
        pool.drain(tenant, "reads"),
        pool.accounts(),
    ):
        with pytest.raises(StoreUnavailable):
            await question
    await client.aclose()
