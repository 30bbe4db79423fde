"""The store's client on a real cluster of three: each slot's owner is found, and a node that is down costs its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from redis.crc import key_slot

from tenantmesh.deploy.stack.engines.valkey_cluster import NODES, ValkeyCluster
from tenantmesh.runtime.redis_client import GuardedCluster, RedisUnavailable, connect
from tenantmesh.runtime.settings import RedisSettings
from tests.fixtures.engines import started_cluster

PATIENT = timedelta(seconds=20)
"""What a loaded machine may take; tests of what hangs say otherwise."""


def client_of(url: SecretStr, **changes: object) -> GuardedCluster:
    settings = {"url": url, "cluster": True, "timeout": PATIENT, "breaker_open": timedelta(milliseconds=100), **changes}
    client = connect(RedisSettings.model_validate(settings))
    assert isinstance(client, GuardedCluster)
    return client


@pytest.fixture
async def client(valkey_cluster: ValkeyCluster) -> AsyncIterator[GuardedCluster]:
    client = client_of(valkey_cluster.url)
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    """A cluster to stop, kill and rearrange."""
    with started_cluster(tmp_path_factory.mktemp("own-cluster")) as cluster:
        yield cluster


def key_on(cluster: ValkeyCluster, node: int, name: str = "x") -> str:
    """A key that the node owns."""
    return next(key for n in range(1000) if cluster.node_of(key := f"tm:{{{n}}}:{name}") == node)


@contextmanager
def admin(cluster: ValkeyCluster, node: int) -> Iterator[Any]:
    with redis.Redis.from_url(cluster.node_url(node).get_secret_value()) as connection:
        yield connection


async def in_the_end(client: GuardedCluster, key: str) -> None:
    """Waits until the key can be written, on whatever node."""
    async with asyncio.timeout(60):
        while True:
            try:
                await client.set(key, "there")
            except redis.RedisError:
                await asyncio.sleep(0.02)
            else:
                return


@pytest.mark.parametrize("node", range(NODES))
async def test_a_key_is_kept_by_the_node_that_owns_it(
    client: GuardedCluster, valkey_cluster: ValkeyCluster, node: int
) -> None:
    key = key_on(valkey_cluster, node)
    assert await client.set(key, "1", px=60_000)
    assert (await client.get(key), await client.incr(key), await client.delete(key)) == (b"1", 2, 1)
    await client.set(key, "kept")
    with admin(valkey_cluster, node) as there:
        assert there.get(key) == b"kept"


@pytest.mark.parametrize("node", range(NODES))
async def test_a_script_runs_on_every_node_the_first_time_and_after_it_was_forgotten(
    client: GuardedCluster, valkey_cluster: ValkeyCluster, node: int
) -> None:
    script = client.register_script(f"return redis.call('INCRBY', KEYS[1], ARGV[1]) -- {os.urandom(8).hex()}")
    key = key_on(valkey_cluster, node, "counter")
    await client.delete(key)
    assert await script(keys=[key], args=[2]) == 2
    with admin(valkey_cluster, node) as there:
        there.script_flush()
    assert await script(keys=[key], args=[3]) == 5
    assert await script(keys=[key], args=[0]) == 5


async def test_more_callers_than_connections_wait_their_turn(valkey_cluster: ValkeyCluster) -> None:
    client = client_of(valkey_cluster.url, pool_size=2)
    keys = [key_on(valkey_cluster, node, "many") for node in range(NODES)]
    await asyncio.gather(*(client.incr(keys[n % NODES]) for n in range(300)))
    assert [await client.get(key) for key in keys] == [b"100"] * NODES
    await client.aclose()


async def test_what_is_no_outage_opens_no_breaker(client: GuardedCluster, valkey_cluster: ValkeyCluster) -> None:
    here, there = key_on(valkey_cluster, 0), key_on(valkey_cluster, 1)
    for _ in range(10):
        with pytest.raises(redis.ResponseError, match="same slot"):
            await client.mget(here, there)
    assert await client.set(here, "1")


async def test_messages_reach_subscribers_wherever_they_listen(
    client: GuardedCluster, valkey_cluster: ValkeyCluster
) -> None:
    async with client.pubsub() as subscription:
        await subscription.subscribe("news")
        messages = subscription.listen()
        assert (await anext(messages))["type"] == "subscribe"
        for node in range(NODES):
            with admin(valkey_cluster, node) as there:
                there.publish("news", f"from {node}")
            message = await asyncio.wait_for(anext(messages), 20)
            assert message["data"] == f"from {node}".encode()


@contextmanager
def moved(cluster: ValkeyCluster, key: str, target: int) -> Iterator[None]:
    """Gives the key's slot, which is empty then, to another node for a while."""

    def give(owner: int) -> None:
        with admin(cluster, owner) as there:
            identity = there.execute_command("CLUSTER MYID")
        for node in range(NODES):
            with admin(cluster, node) as there:
                there.flushall()
                there.execute_command("CLUSTER SETSLOT", slot, "NODE", identity)

    slot = key_slot(key.encode())
    give(target)
    yield
    give(cluster.node_of(key))


async def test_a_slot_that_moved_is_found_again(own: ValkeyCluster) -> None:
    client = client_of(own.url)
    key = key_on(own, 0, "moving")
    script = client.register_script("return redis.call('INCR', KEYS[1])")
    assert await script(keys=[key]) == 1
    with moved(own, key, target=2):
        assert await script(keys=[key]) == 1
        with admin(own, 0) as left, admin(own, 2) as there:
            assert there.get(key) == b"1"
            redirected = left.info("errorstats")["errorstat_MOVED"]
            assert await script(keys=[key]) == 2
            assert left.info("errorstats")["errorstat_MOVED"] == redirected, "what was learnt is remembered"
    assert await client.get(key) is None
    await client.aclose()


async def test_a_key_on_its_way_is_asked_for_where_it_will_be(own: ValkeyCluster) -> None:
    client = client_of(own.url)
    key = key_on(own, 0, "on-its-way")
    slot = key_slot(key.encode())
    script = client.register_script("return redis.call('INCRBY', KEYS[1], 5)")
    with admin(own, 0) as source, admin(own, 1) as target:
        ids = [there.execute_command("CLUSTER MYID") for there in (source, target)]
        target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
        try:
            assert await script(keys=[key]) == 5
            assert await client.incr(key) == 6
            target.execute_command("ASKING")
            assert target.get(key) == b"6"
        finally:
            target.flushall()
            for there in (source, target):
                there.execute_command("CLUSTER SETSLOT", slot, "STABLE")
    await client.aclose()


async def test_without_one_node_the_other_slots_go_on_and_with_it_all_do(own: ValkeyCluster) -> None:
    client = client_of(own.url)
    script = client.register_script("return redis.call('SET', KEYS[1], 'run')")
    keys = [key_on(own, node) for node in range(NODES)]
    for key in keys:
        await script(keys=[key])
    os.kill(own.pid_of(1), signal.SIGKILL)
    refused = 0
    for _ in range(20):
        with pytest.raises(RedisUnavailable) as raised:
            await script(keys=[keys[1]])
        refused += "not asked" in str(raised.value)
        for key in (keys[0], keys[2]):
            assert await script(keys=[key]) == b"OK"
            assert await client.get(key) == b"run"
    assert refused, "a node that is down is asked now and then only"
    own.stop_node(1)
    own.start_node(1)
    await in_the_end(client, keys[1])
    assert await script(keys=[keys[1]]) == b"OK", "it has forgotten the script, too"
    await client.aclose()


async def test_a_node_that_hangs_delays_its_own_slots_only(own: ValkeyCluster) -> None:
    """Also for a client that has yet to learn the slots, and knows the hanging node first."""
    keys = [key_on(own, node) for node in range(NODES)]
    known, new = client_of(own.url), client_of(own.url)
    await in_the_end(known, keys[0])
    os.kill(own.pid_of(0), signal.SIGSTOP)
    try:
        for client in (known, new):
            hanging = asyncio.ensure_future(client.get(keys[0]))
            async with asyncio.timeout(PATIENT.total_seconds() / 2):
                for key in keys[1:]:
                    await client.set(key, "1")
            assert not hanging.done()
            hanging.cancel()
        quick = client_of(own.url, timeout=timedelta(milliseconds=50))
        for _ in range(5):
            with pytest.raises(RedisUnavailable):
                await quick.get(keys[0])
    finally:
        os.kill(own.pid_of(0), signal.SIGCONT)
    await in_the_end(quick, keys[0])
    for client in (known, new, quick):
        await client.aclose()


async def test_one_of_the_named_nodes_is_enough_to_begin_with(own: ValkeyCluster) -> None:
    nobody = own.url.get_secret_value().replace("@", "@127.0.0.1:1,", 1).rpartition(",")[0]
    client = client_of(SecretStr(nobody))
    for node in range(NODES):
        assert await client.set(key_on(own, node), "1")
    await client.aclose()


async def test_a_cluster_that_was_never_there_is_unavailable() -> None:
    client = client_of(SecretStr("redis://127.0.0.1:1"))
    for _ in range(8):
        with pytest.raises(RedisUnavailable):
            await client.get("tm:{a}:x")
    await client.aclose()
