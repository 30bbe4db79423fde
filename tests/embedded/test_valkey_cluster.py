"""Three Valkeys as one cluster: closed to strangers, back after a kill, gone at the end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.engines.valkey_cluster import NODES, SLOTS, ValkeyCluster
from tenantmesh.deploy.stack.ports import LOOPBACK
from tenantmesh.deploy.stack.supervision.record import running


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    """Only the cluster of its engines runs."""
    engines = Engines(tmp_path / "state", durable=False, temporary=True, cluster=True)
    engines.open()
    try:
        engines.store.start()
        yield engines
    finally:
        engines.close()


def of(url: str) -> redis.cluster.RedisCluster:
    """A client that knows nothing of ours."""
    user, _, hosts = url.partition("@")
    client: redis.cluster.RedisCluster = redis.cluster.RedisCluster.from_url(f"{user}@{hosts.split(',')[0]}")
    return client


def test_every_slot_has_an_owner_and_the_store_is_the_cluster(engines: Engines) -> None:
    assert engines.store is engines.valkey_cluster
    client = of(engines.store.url.get_secret_value())
    for n in range(50):
        client.set(f"tm:{{{n}}}:x", n)
    assert {engines.valkey_cluster.node_of(f"tm:{{{n}}}:x") for n in range(50)} == set(range(NODES))
    assert [client.get(f"tm:{{{n}}}:x") for n in range(50)] == [str(n).encode() for n in range(50)]
    engines.store.flush()
    assert client.get("tm:{1}:x") is None
    client.close()


def test_a_killed_server_is_started_again_and_finds_its_slots(engines: Engines) -> None:
    cluster, reports = engines.valkey_cluster, list[str]()
    killed = cluster.pid_of(1)
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not reports:
        assert time.monotonic() < deadline
        time.sleep(0.02)
        engines.watch(reports.append)
    assert "valkey-2" in reports[0]
    assert cluster.pid_of(1) != killed
    cluster.stop()
    cluster.start()
    with redis.Redis.from_url(cluster.node_url(1).get_secret_value()) as client:
        info = dict(client.execute_command("CLUSTER INFO"))
    assert (info["cluster_state"], info["cluster_slots_ok"]) == ("ok", str(SLOTS))


def test_strangers_stay_out(engines: Engines) -> None:
    cluster = engines.valkey_cluster
    for port in cluster.ports[:NODES]:
        client = redis.Redis(host=LOOPBACK, port=port, retry=Retry(NoBackoff(), 0))
        with client, pytest.raises(redis.AuthenticationError):
            client.get("x")
    for node in range(NODES):
        process = psutil.Process(cluster.pid_of(node))
        assert process.uids().real != 0
        assert "@" not in "".join(process.cmdline())
        listening = [each.laddr for each in process.net_connections("tcp") if each.status == psutil.CONN_LISTEN]
        assert {address[0] for address in listening} == {LOOPBACK}
        assert {address[1] for address in listening} == {cluster.ports[node], cluster.ports[NODES + node]}


@pytest.mark.parametrize("command", ["KEYS *", "FLUSHALL", "CLUSTER FORGET x", "CLUSTER MEET 127.0.0.1 1", "SHUTDOWN"])
def test_the_products_user_may_do_nothing_dangerous(valkey_cluster: ValkeyCluster, command: str) -> None:
    user, _, hosts = valkey_cluster.url.get_secret_value().partition("@")
    with (
        redis.Redis.from_url(f"{user}@{hosts.split(',')[0]}") as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command.split())


def test_nothing_runs_after_close(tmp_path: Path) -> None:
    engines = Engines(tmp_path / "state", durable=False, temporary=True, cluster=True)
    engines.open()
    engines.store.start()
    pids = [engines.valkey_cluster.pid_of(node) for node in range(NODES)]
    engines.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert running(engines.places.state) is None
    assert not engines.places.data.exists()
