"""Statements that are planned anew: no connection keeps them, so each run is planned for its own values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Integer, bindparam, column, select, table

from tenantmesh.runtime.database import Connection, compiled
from tests.fixtures.engines import WorkerDatabase

SKEWED = table("skewed", column("kind", Integer))
OF_A_KIND = select(SKEWED).where(SKEWED.c.kind == bindparam("kind", type_=Integer))
RARE = {"kind": 2}


@pytest.fixture(scope="module")
async def raw(postgres: WorkerDatabase) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(postgres.admin_url.get_secret_value())
    rows = "SELECT 1 + (n = 1)::int AS kind FROM generate_series(1, 20000) AS n"
    await connection.execute(f"CREATE TEMPORARY TABLE skewed AS {rows}; CREATE INDEX ON skewed (kind); ANALYZE skewed")
    yield connection
    await connection.close()


async def kept(raw: Any) -> list[str]:
    """The statements that the server keeps for this connection."""
    found = await raw.fetch("SELECT statement FROM pg_prepared_statements")
    return [row["statement"] for row in found if "skewed" in row["statement"]]


async def test_no_connection_keeps_it(raw: Any) -> None:
    connection = Connection(raw)
    anew, usual = compiled(OF_A_KIND, planned_anew=True), compiled(OF_A_KIND)
    assert [row["kind"] for row in await connection.fetch(anew, **RARE)] == [2]
    assert await connection.fetch_row(anew, kind=3) is None
    assert await kept(raw) == []
    await connection.fetch(usual, **RARE)
    assert await kept(raw) == [usual.sql]
