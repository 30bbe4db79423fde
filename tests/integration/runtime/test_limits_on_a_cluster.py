"""Limits while one node of the store is down: its tenants do without it, and everybody else's limits hold exactly."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest

from deploy.embedded.valkey_cluster import NODES, ValkeyCluster
from interceptors import Rate, StoreUnavailable
from interceptors.backends.redis_rate_store import RedisRateStore
from interceptors.leased_rate_limiter import LeasedRateLimiter
from runtime.redis_client import connect
from runtime.settings import RedisSettings
from tests.fixtures.engines import started_cluster

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
    limiter = LeasedRateLimiter(RedisRateStore(client))
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
