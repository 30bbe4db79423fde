"""Limits while one node of the store is down: its tenants do without it, and everybody else's limits hold exactly."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tenantmesh.deploy.stack.engines.valkey_cluster import NODES, ValkeyCluster
from tenantmesh.interceptors import Rate, StoreUnavailable
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.backends.redis.rate_store import RedisRateStore
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.rates import LeasedRateLimiter
from tenantmesh.interceptors.leases.sources import Sources
from tenantmesh.interceptors.quotas import Ask, Charge, Shortage
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import RedisSettings
from tests.fixtures.engines import started_cluster
from tests.old_server import OldServer

_UUIDS = [f"{n:032x}" for n in range(1, 100)]
SLOW = Rate(per_second=0.001, burst=5)
DOWN = 1


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """With one server killed."""
    with started_cluster(tmp_path_factory.mktemp("limited-cluster")) as cluster:
        os.kill(cluster.pid_of(DOWN), signal.SIGKILL)
        yield cluster


async def test_tenants_of_other_nodes_are_limited_exactly(cluster: ValkeyCluster) -> None:
    client = connect(RedisSettings(url=cluster.url, cluster=True, timeout=timedelta(seconds=10)))
    limiter = LeasedRateLimiter(RedisRateStore(OldServer(client)))
    keys = {cluster.node_of(key): key for n in range(100) if (key := f"tm:{{{n}}}:burst:api")}
    admitted = dict.fromkeys(range(NODES), 0)
    for _ in range(8):
        for node, key in keys.items():
            try:
                admitted[node] += (await limiter.take(key, SLOW)).allowed
            except StoreUnavailable:
                assert node == DOWN
    assert admitted == {node: 0 if node == DOWN else SLOW.burst for node in range(NODES)}
    await client.aclose()


async def test_pooled_units_of_tenants_of_other_nodes_are_found_and_allowances_of_all_are_served(
    cluster: ValkeyCluster,
) -> None:
    client = connect(RedisSettings(url=cluster.url, cluster=True, timeout=timedelta(seconds=10)))
    ledger, pool = MemoryQuotaLedger(lambda _tenant, _meter: 10), RedisQuotaPool(client)
    sources = Sources(pool, ledger, clock=lambda: 0.0)  # what is down stays so
    tenants = {cluster.node_of(f"tm:{{{each}}}:quota:reads"): TenantId(each) for each in map(uuid.UUID, _UUIDS)}
    ask = [Ask("reads", 5, 5)]
    for _ in range(2):
        for node, tenant in tenants.items():
            answer = await sources.take(tenant, ask, [10])
            assert (answer is None) is (node == DOWN)
    quotas = LeasedQuota(ledger, pool)
    await quotas.start()
    for tenant in tenants.values():
        served = [await quotas.charge(tenant, (Charge("reads"),)) for _ in range(12)]
        assert [isinstance(each, Shortage) for each in served] == [False] * 10 + [True] * 2
    await quotas.close()
    await client.aclose()
