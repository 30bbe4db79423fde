"""Canaries in the database: one in every text of every table with tenants, and a search through all of the database.

The tables and columns are those of the database's own catalog. A column that is added later gets a canary as well; one
that takes no free text fails the test until `NOT_FREE` says so.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from tests.fixtures.mesh import Mesh

__all__ = ["NOT_FREE", "columns_without", "fill", "rows_with", "superuser"]

_OUTLIVING = ("tenant.purge_proofs", "tenant.tenant_tombstones", "auth.purged_tenants")
_COLUMNS = """
SELECT format('%I.%I', n.nspname, c.relname) AS table, a.attname::text AS name, a.atttypid::regtype::text AS type,
       a.attnotnull AND NOT a.atthasdef AS demanded
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  AND EXISTS (SELECT FROM pg_attribute AS t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id' AND t.attnum > 0)
ORDER BY 1, a.attnum
"""
_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
"""
_TEXTS = {"text", "text[]", "jsonb", "bytea"}
NOT_FREE: Mapping[str, str] = {
    "tenant.allocations.state": "RELEASED",
    "tenant.email_domains.state": "PENDING",
    "tenant.entitlement_events.type": "GRANT_CREATED",
    "tenant.login_hosts.state": "PENDING",
    "tenant.operations.state": "SUCCEEDED",
    "tenant.plan_terms.over_limit_policy": "GRACE",
    "tenant.tenant_events.state": "DELETED",
    "tenant.tenant_events.type": "DELETED",
    "tenant.tenants.delete_actor": "01900000-0000-7000-8000-000000000000",  # a credential of an operator, in the proof
    "tenant.tenants.plan_id": "basic",
    "tenant.tenants.state": "DELETED",
}
"""Columns of text whose values are of a list, with a value of it for a new row."""
_ONLY_IN = {"tenant.tenant_events.name_change": "type = 'UPDATED'"}
"""Columns that may have a value in some rows only."""
_PREPARED = ("UPDATE tenant.tenant_events SET event_time = now() WHERE tenant_id = $1 AND type = 'UPDATED'",)
"""Values that a canary needs beside it."""


@dataclass(frozen=True)
class Column:
    """A column of a table with tenants. `demanded`: a new row must say its value."""

    table: str
    name: str
    type: str
    demanded: bool

    @property
    def place(self) -> str:
        return f"{self.table}.{self.name}"

    @property
    def free(self) -> bool:
        return self.type in _TEXTS and self.place not in NOT_FREE


@asynccontextmanager
async def superuser(mesh: Mesh) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(mesh.stack.engines.postgres.url("postgres").get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


async def _columns(connection: asyncpg.Connection) -> dict[str, list[Column]]:
    found: dict[str, list[Column]] = {}
    for row in await connection.fetch(_COLUMNS):
        if row["table"] not in _OUTLIVING:
            found.setdefault(row["table"], []).append(Column(**row))
    return found


async def fill(connection: asyncpg.Connection, tenant_id: str, canary: Callable[[], str], mark: str) -> None:
    """Put a canary into each text that has none: into a row of the table, or into a new one where it has no row."""
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")  # no keys and triggers in the way
        for statement in _PREPARED:
            await connection.execute(statement, tenant_id)
        for table, columns in (await _columns(connection)).items():
            if not await _rows(connection, table, tenant_id):
                await _insert(connection, table, columns, tenant_id, canary)
            for column in [each for each in columns if each.free]:
                if not await _with_mark(connection, column, tenant_id, mark):
                    await _update(connection, column, tenant_id, canary())


async def columns_without(connection: asyncpg.Connection, tenant_id: str, mark: str) -> list[str]:
    """The texts of the tenant's rows that hold no canary."""
    tables = await _columns(connection)
    assert {column.place for columns in tables.values() for column in columns} >= NOT_FREE.keys()
    return [
        column.place
        for columns in tables.values()
        for column in columns
        if column.free and not await _with_mark(connection, column, tenant_id, mark)
    ]


async def rows_with(connection: asyncpg.Connection, texts: Sequence[str]) -> dict[str, int]:
    """The rows of every table of the database that hold one of the texts, in any column: as in a dump."""
    found = {}
    for table in await connection.fetch(_TABLES):
        # A bytea is shown in hex, so that a payload is looked for in that form too.
        forms = [form for text in texts for form in (text, text.encode().hex())]
        counting = " ".join(
            (
                "SELECT count(*) FROM",
                table["name"],
                "AS t, unnest($1::text[]) AS form WHERE position(form IN t::text) > 0",
            )
        )
        found[table["name"]] = await connection.fetchval(counting, forms)
    return {name: rows for name, rows in found.items() if rows}


async def _rows(connection: asyncpg.Connection, table: str, tenant_id: str) -> int:
    return int(await connection.fetchval(" ".join(("SELECT count(*) FROM", table, "WHERE tenant_id = $1")), tenant_id))


async def _with_mark(connection: asyncpg.Connection, column: Column, tenant_id: str, mark: str) -> bool:
    asking = " ".join(
        ("SELECT count(*) FROM", column.table, "WHERE tenant_id = $1 AND (position($2 IN", column.name,
         "::text) > 0 OR position($3 IN", column.name, "::text) > 0)")
    )  # fmt: skip
    return bool(await connection.fetchval(asking, tenant_id, mark, mark.encode().hex()))


async def _update(connection: asyncpg.Connection, column: Column, tenant_id: str, text: str) -> None:
    change = " ".join(
        ("UPDATE", column.table, "SET", column.name, "= $1 WHERE ctid = (SELECT ctid FROM", column.table,
         "WHERE tenant_id = $2 AND", _ONLY_IN.get(column.place, "true"), "LIMIT 1)")
    )  # fmt: skip
    await connection.execute(change, _value(column, text), tenant_id)


async def _insert(
    connection: asyncpg.Connection, table: str, columns: Sequence[Column], tenant_id: str, canary: Callable[[], str]
) -> None:
    told = [column for column in columns if column.demanded or column.free]
    values = [uuid.UUID(tenant_id) if column.name == "tenant_id" else _value(column, canary()) for column in told]
    names, places = ", ".join(column.name for column in told), ", ".join(f"${n + 1}" for n in range(len(told)))
    await connection.execute(" ".join(("INSERT INTO", table, "(", names, ") VALUES (", places, ")")), *values)


def _value(column: Column, text: str) -> Any:
    if column.place in NOT_FREE:
        return NOT_FREE[column.place]
    return {
        "text": text,
        "text[]": [text],
        "jsonb": json.dumps({"canary": text}),
        "bytea": text.encode().ljust(32, b"."),
        "uuid": uuid.uuid4(),
        "boolean": False,
        "timestamp with time zone": datetime.now(UTC),
    }.get(column.type, 1)
