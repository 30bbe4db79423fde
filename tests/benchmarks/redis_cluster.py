"""What one lost node of a Redis Cluster costs the keys of the others: `python -m tests.benchmarks.redis_cluster`.

Compares the product's client with redis-py's own, as it comes and tuned to fail fast. The figures are in
docs/decisions/0029. One node is killed, or stopped so that it accepts connections and answers nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tenantmesh.deploy.stack.engines.valkey_cluster import NODES, ValkeyCluster
from tenantmesh.runtime.redis_client import connect
from tenantmesh.runtime.settings import RedisSettings
from tests.fixtures.engines import started_cluster

CALLERS = 10
"""Callers of each node, one call at a time each."""
SECONDS = 5.0
LOST = 1
"""The node that fails."""


@dataclass
class Seen:
    """What the callers of some nodes saw."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        p50, p99 = (1000 * each for each in (statistics.median(ordered), ordered[int(len(ordered) * 0.99)]))
        rate = len(ordered) / SECONDS
        return (
            f"{rate:8,.0f}/s  {self.errors:6d} errors  p50 {p50:7.1f}  p99 {p99:7.1f}  max {1000 * ordered[-1]:7.1f} ms"
        )


def ours(cluster: ValkeyCluster) -> Any:
    return connect(RedisSettings(url=cluster.url, cluster=True))


def library(cluster: ValkeyCluster, **options: Any) -> Any:
    defaults = RedisSettings()
    user, _, hosts = cluster.url.get_secret_value().partition("@")
    seconds = defaults.timeout.total_seconds()
    url = f"{user}@{hosts.split(',')[0]}"
    return RedisCluster.from_url(url, socket_timeout=seconds, socket_connect_timeout=seconds, **options)


CLIENTS: dict[str, Callable[[ValkeyCluster], Any]] = {
    "ours": ours,
    "redis-py": library,
    "redis-py, no retries": lambda cluster: library(
        cluster, retry=Retry(NoBackoff(), 0), cluster_error_retry_attempts=0
    ),
}


async def call(client: Any, key: str, until: float, seen: Seen) -> None:
    while time.monotonic() < until:
        begun = time.monotonic()
        try:
            await client.get(key)
        except (RedisError, OSError, TimeoutError):
            seen.errors += 1
        seen.seconds.append(time.monotonic() - begun)
        await asyncio.sleep(0.001)


async def load(client: Any, keys: list[str]) -> tuple[Seen, Seen]:
    """Call every node; return what the callers of the others and those of the lost one saw."""
    others, lost = Seen(), Seen()
    until = time.monotonic() + SECONDS
    await asyncio.gather(
        *(
            call(client, key, until, lost if node == LOST else others)
            for node, key in enumerate(keys)
            for _ in range(CALLERS)
        )
    )
    return others, lost


@asynccontextmanager
async def killed(cluster: ValkeyCluster) -> AsyncIterator[None]:
    os.kill(cluster.pid_of(LOST), signal.SIGKILL)
    yield
    cluster.stop_node(LOST)
    cluster.start_node(LOST)


@asynccontextmanager
async def hung(cluster: ValkeyCluster) -> AsyncIterator[None]:
    os.kill(cluster.pid_of(LOST), signal.SIGSTOP)
    yield
    os.kill(cluster.pid_of(LOST), signal.SIGCONT)


@asynccontextmanager
async def healthy(_cluster: ValkeyCluster) -> AsyncIterator[None]:
    yield


async def measure(folder: Path, name: str) -> None:
    """Print the figures of a client, in each state of the cluster."""
    for state in (healthy, killed, hung):
        with started_cluster(folder / f"{name}-{state.__name__}") as cluster:
            keys = [
                next(k for n in range(1000) if cluster.node_of(k := f"tm:{{{n}}}:x") == node) for node in range(NODES)
            ]
            client = CLIENTS[name](cluster)
            for key in keys:
                await client.set(key, "1")
            async with state(cluster):
                others, lost = await load(client, keys)
            await client.aclose()
        print(f"{name:22} {state.__name__:8} other nodes {others}")
        print(f"{'':22} {'':8} this node   {lost}", flush=True)


def main() -> None:
    """Measure every client, or those that are named."""
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or CLIENTS:
            asyncio.run(measure(Path(folder), name))


if __name__ == "__main__":
    main()
