"""The number of items of a list: counted where there are few, estimated by PostgreSQL where there are many."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import Integer, bindparam, column, select, table

from tenantmesh.chassis.filters.totals import COUNTED, counting, total
from tenantmesh.runtime.database import Connection, StatementShapes
from tests.fixtures.engines import WorkerDatabase

NUMBERS = table("numbers", column("n", Integer))
ITEMS = select(NUMBERS.c.n).where(NUMBERS.c.n <= bindparam("most", type_=Integer))
STATEMENTS: StatementShapes[bool] = StatementShapes(lambda counted: counting(ITEMS) if counted else ITEMS)


@pytest.fixture(scope="module")
async def connection(postgres: WorkerDatabase) -> AsyncIterator[Connection]:
    raw = await asyncpg.connect(postgres.admin_url.get_secret_value())
    await raw.execute("CREATE TEMPORARY TABLE numbers AS SELECT generate_series(1, 20000) AS n; ANALYZE numbers")
    yield Connection(raw)
    await raw.close()


@pytest.mark.parametrize("size", [0, 1, COUNTED])
async def test_few_items_are_counted(connection: Connection, size: int) -> None:
    found = await total(connection, STATEMENTS.of(True), STATEMENTS.of(False), {"most": size})
    assert (found.size, found.estimated) == (size, False)


@pytest.mark.parametrize("size", [COUNTED + 1, 5000, 20000])
async def test_many_items_are_estimated(connection: Connection, size: int) -> None:
    found = await total(connection, STATEMENTS.of(True), STATEMENTS.of(False), {"most": size})
    assert found.estimated
    assert abs(found.size - size) < size / 10
    assert found.size > COUNTED
