"""Keys that begin alike are counted and deleted as a family, on one server and on a cluster, and no others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.runtime.redis_client import RedisUnavailable, StoreClient, connect
from tenantmesh.runtime.redis_client.families import count_family, delete_family
from tenantmesh.runtime.settings import RedisSettings

FAMILY = "tm:{0199c0de-0000-7000-8000-000000000001}:"
OTHERS = ("tm:{0199c0de-0000-7000-8000-000000000002}:a", "tm:{0199c0de-0000-7000-8000-000000000001}", "x")


@pytest.fixture(params=["valkey", "valkey_cluster"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[StoreClient]:
    store: Store = request.getfixturevalue(request.param)
    store.flush()
    made = connect(RedisSettings.model_validate({"url": store.url, "cluster": store.cluster, "timeout": "5s"}))
    yield made
    await made.aclose()


async def test_all_of_a_family_and_no_others(client: StoreClient) -> None:
    for number in range(2_500):
        await client.set(f"{FAMILY}quota:{number}", "1")
    for other in OTHERS:
        await client.set(other, "1")
    assert await count_family(client, FAMILY) == 2_500
    assert await delete_family(client, FAMILY) == 2_500
    assert (await count_family(client, FAMILY), await delete_family(client, FAMILY)) == (0, 0)
    assert [await client.exists(other) for other in OTHERS] == [1, 1, 1]


async def test_a_prefix_is_no_pattern(client: StoreClient) -> None:
    for key in ("tm:{a}:*", "tm:{a}:b", "tm:{a}:[b]", "tm:{a}:?"):
        await client.set(key, "1")
    assert await count_family(client, "tm:{a}:*") == 1
    assert await delete_family(client, "tm:{a}:[b") == 1
    assert await count_family(client, "tm:{a}:") == 3


async def test_a_store_that_is_away_is_no_empty_one() -> None:
    away = connect(RedisSettings.model_validate({"url": "redis://127.0.0.1:1/0"}))
    with pytest.raises(RedisUnavailable):
        await count_family(away, FAMILY)
    with pytest.raises(RedisUnavailable):
        await delete_family(away, FAMILY)
    await away.aclose()
