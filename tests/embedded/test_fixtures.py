"""The fixtures that other tests build on."""

from __future__ import annotations

import asyncpg
import pytest
import redis.asyncio

from tenantmesh.deploy.postgres import LOGIN_ROLES
from tenantmesh.deploy.stack.engines.valkey import Valkey
from tests.fixtures.engines import WorkerDatabase


@pytest.mark.parametrize("role", LOGIN_ROLES)
async def test_every_role_can_log_in_to_the_workers_database(postgres: WorkerDatabase, role: str) -> None:
    connection = await asyncpg.connect(postgres.url(role).get_secret_value())
    try:
        assert (
            await connection.fetchval("select current_user || '@' || current_database()") == f"{role}@{postgres.name}"
        )
    finally:
        await connection.close()


async def test_the_workers_valkey_answers_and_flushes(valkey: Valkey) -> None:
    async with redis.asyncio.from_url(valkey.url.get_secret_value()) as client:
        await client.set("key", "value")
        assert await client.get("key") == b"value"
        valkey.flush()
        assert await client.get("key") is None
