"""A database as it is after years: every table of both services full, with rows made from the catalog alone.

A table that is added later is filled too. Checks and foreign keys are taken off first, and triggers do not fire: the
rows are right in type, number and spread, and need not be right in meaning.
"""

from __future__ import annotations

import re

import asyncpg

__all__ = ["ROWS", "fill"]

ROWS = 20_000
"""The rows of each table that grows."""
TENANTS = 5_000
"""The tenants that they belong to: some rows of a tenant lie far apart, as rows of different days do."""
FEW = 20
"""The rows of a table that does not grow, and the different values of a column that names one of a few things."""

_OF_FEW = {"plan_id", "feature_id", "type", "actor", "requester", "reason", "entrypoint", "gauge", "holder", "role"}
"""Columns that repeat a few values although their type is text."""

_TABLES = """
SELECT c.oid::regclass::text AS name, c.oid
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('tenant', 'auth', 'jobs') AND c.relkind = 'r' ORDER BY 1
"""
_COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, a.attnotnull AS required, t.typtype = 'e' AS enumerated
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""
_CHECKS = """
SELECT conrelid::regclass::text AS owner, conname::text AS name, pg_get_constraintdef(oid) AS rule
FROM pg_constraint WHERE contype IN ('c', 'f') AND conrelid::regclass::text ~ '^(tenant|auth|jobs)[.]'
"""
_RARE = {"SUSPENDED", "DELETED", "RESERVED", "RUNNING", "PENDING"}
"""States that few rows are in at a time: one in a thousand."""

_CHOICE = re.compile(r"\((\w+) = ANY \(ARRAY\[([^]]*)\]\)")

_TENANT = f"('01900000-0000-7000-8000-' || lpad(to_hex(1 + i % {TENANTS}), 12, '0'))::uuid"
_BY_TYPE = {
    "uuid": "('01900000-0000-7000-9000-' || lpad(to_hex(i), 12, '0'))::uuid",
    "text": "'text-' || i",
    "character varying": "'text-' || i",
    "bigint": "i",
    "integer": "i",
    "smallint": "i % 100",
    "boolean": "i % 2 = 0",
    "bytea": "decode(md5(i::text), 'hex')",
    "jsonb": "'{}'::jsonb",
    "text[]": "ARRAY['text-' || i]",
    "timestamp with time zone": f"now() - ({ROWS} - i) * interval '10 seconds'",
    "interval": "interval '1 second'",
}


async def fill(connection: asyncpg.Connection, few: frozenset[str]) -> None:
    """Fill every table, as the superuser, and gather statistics. Tables in `few` get a few rows."""
    choices: dict[tuple[str, str], list[str]] = {}
    for check in await connection.fetch(_CHECKS):
        choices |= _choices(check["owner"], check["rule"])
        await connection.execute(f'ALTER TABLE {check["owner"]} DROP CONSTRAINT "{check["name"]}" CASCADE')
    await connection.execute("SET session_replication_role = replica")
    for table in await connection.fetch(_TABLES):
        columns = await connection.fetch(_COLUMNS, table["oid"])
        names = ", ".join(f'"{column["name"]}"' for column in columns)
        values = ", ".join(_value(table["name"], column, choices) for column in columns)
        rows = FEW if table["name"] in few else ROWS
        await connection.execute(
            f"INSERT INTO {table['name']} ({names}) OVERRIDING SYSTEM VALUE "
            f"SELECT {values} FROM generate_series(1, {rows}) AS i ON CONFLICT DO NOTHING"
        )
    await connection.execute("VACUUM ANALYZE")


def _choices(owner: str, rule: str) -> dict[tuple[str, str], list[str]]:
    """Return the values that a check allows, by table and column."""
    return {(owner, column): re.findall(r"'([^']*)'", listed) for column, listed in _CHOICE.findall(rule)}


def _value(table: str, column: asyncpg.Record, choices: dict[tuple[str, str], list[str]]) -> str:
    """Return the SQL of the column's value in row `i`."""
    value = _filled(column, choices.get((table, column["name"])))
    return value if column["required"] else f"CASE WHEN i % 2 = 0 THEN {value} END"


def _filled(column: asyncpg.Record, allowed: list[str] | None) -> str:
    name, kind = column["name"], column["type"]
    if name == "tenant_id":
        return _TENANT
    if allowed:
        return f"(ARRAY{_spread(allowed)})[1 + i % 1000]"
    if column["enumerated"]:
        return f"(enum_range(NULL::{kind}))[1 + i % array_length(enum_range(NULL::{kind}), 1)]"
    if kind == "text" and name in _OF_FEW:
        return f"'few-' || i % {FEW}"
    if kind not in _BY_TYPE:
        raise LookupError(f"say in _BY_TYPE how to fill a column of {kind}, such as {name}")
    return _BY_TYPE[kind]


def _spread(allowed: list[str]) -> list[str]:
    """Return a thousand values as the rows of a table have them."""
    usual = [value for value in allowed if value not in _RARE]
    rare = [value for value in allowed if value in _RARE]
    return [*rare, *(usual * 1000)][:1000]
