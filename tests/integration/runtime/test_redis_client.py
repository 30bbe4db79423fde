"""The store's client on a real Valkey: fast when it is down, back when it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError, ResponseError

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.deploy.stack.engines.valkey import Valkey
from tenantmesh.runtime.redis_client import GuardedRedis, RedisUnavailable, connect
from tenantmesh.runtime.settings import RedisSettings

PAUSE = timedelta(milliseconds=200)


def settings(url: SecretStr, **changes: object) -> RedisSettings:
    return RedisSettings.model_validate({"url": url, "breaker_open": PAUSE, **changes})


def single(url: SecretStr, **changes: object) -> GuardedRedis:
    client = connect(settings(url, **changes))
    assert isinstance(client, GuardedRedis)
    return client


@pytest.fixture
async def client(valkey: Valkey) -> AsyncIterator[GuardedRedis]:
    connected = single(valkey.url)
    yield connected
    await connected.aclose()


async def test_commands_scripts_and_pipelines_work(client: GuardedRedis) -> None:
    assert await client.set("tm:{a}:x", "1")
    assert await client.get("tm:{a}:x") == b"1"
    assert await client.register_script("return redis.call('GET', KEYS[1])")(keys=["tm:{a}:x"]) == b"1"
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.get("tm:{a}:x")
        pipeline.incr("tm:{a}:n")
        assert await pipeline.execute() == [b"1", 1]


async def test_more_callers_than_connections_wait_their_turn(valkey: Valkey) -> None:
    client = single(valkey.url, pool_size=4, timeout=timedelta(seconds=5))
    assert len(await asyncio.gather(*(client.ping() for _ in range(200)))) == 200
    await client.aclose()


async def test_an_answer_that_is_an_error_opens_nothing(client: GuardedRedis) -> None:
    for _ in range(10):
        with pytest.raises(ResponseError):
            await client.execute_command("NO-SUCH-COMMAND")
    assert not client.breaker.is_open
    assert await client.ping()


async def test_a_refused_connection_costs_almost_nothing_and_opens_the_breaker() -> None:
    client = single(SecretStr("redis://127.0.0.1:1"))
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(RedisUnavailable):
            await client.get("x")
    assert client.breaker.is_open
    assert time.monotonic() - began < 0.5
    assert (client.stats.failed, client.stats.not_asked) == (3, 97), "metrics tell that the store is away"
    assert issubclass(RedisUnavailable, RedisError)
    await client.aclose()


async def test_a_pipeline_is_guarded_too() -> None:
    client = single(SecretStr("redis://127.0.0.1:1"))
    for _ in range(4):
        async with client.pipeline() as pipeline:
            pipeline.get("x")
            with pytest.raises(RedisUnavailable):
                await pipeline.execute()
    assert client.breaker.is_open
    await client.aclose()


async def test_a_store_that_hangs_costs_its_timeout_then_nothing() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    black_hole = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = black_hole.sockets[0].getsockname()[1]
    client = single(SecretStr(f"redis://127.0.0.1:{port}"))
    waits = []
    for _ in range(6):
        began = time.monotonic()
        with pytest.raises(RedisUnavailable):
            await client.get("x")
        waits.append(time.monotonic() - began)
    assert max(waits[:3]) < 0.5
    assert max(waits[3:]) < 0.02
    await client.aclose()
    black_hole.close()


async def test_after_an_outage_one_probe_brings_it_back(own_engines: Engines) -> None:
    client = single(own_engines.valkey.url, timeout=timedelta(milliseconds=500))
    assert await client.ping()
    await asyncio.to_thread(own_engines.valkey.stop)
    for _ in range(5):
        with pytest.raises(RedisUnavailable):
            await client.ping()
    assert client.breaker.is_open
    await asyncio.to_thread(own_engines.valkey.start)
    await asyncio.sleep(PAUSE.total_seconds())
    assert await client.ping()
    assert not client.breaker.is_open
    await client.aclose()


async def test_pub_sub_may_be_quiet_longer_than_a_command_may_take(client: GuardedRedis) -> None:
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("news")
        messages = pubsub.listen()
        assert (await anext(messages))["type"] == "subscribe"
        waiting = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0.15)
        await client.publish("news", "late")
        assert (await asyncio.wait_for(waiting, 2))["data"] == b"late"
    assert not client.breaker.is_open


def test_without_a_url_it_says_which_setting_is_missing() -> None:
    with pytest.raises(ValueError, match="TENANTMESH_REDIS_URL"):
        connect(RedisSettings())


async def test_a_wrong_password_is_in_the_log_once_for_each_outage(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    user, _, place = valkey.url.get_secret_value().partition("@")
    client = single(SecretStr(f"{user}-wrong@{place}"))
    for _ in range(9):
        with pytest.raises(RedisUnavailable):
            await client.ping()
    await client.aclose()
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "invalid username-password pair" in told
    assert "TENANTMESH_REDIS_URL" in told
    assert "-wrong" not in told
