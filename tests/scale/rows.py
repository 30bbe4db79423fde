"""Many tenants at once: the rows that creating one wrote, copied under other ids, slugs and positions.

What creating a tenant writes is found in the database, not listed here: a table that is added later is filled as well.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from tenantmesh.runtime.ids import uuid7

__all__ = ["CELL", "FORMER", "HOST", "MODEL", "Many", "multiply", "of_tenant"]

_OWNED = """
SELECT n.nspname::text AS schema, c.relname::text AS name,
       array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE n.nspname IN ('tenant', 'auth') AND c.relkind = 'r'
GROUP BY c.oid, n.nspname, c.relname
HAVING bool_or(a.attname = 'tenant_id')
ORDER BY c.relname <> 'tenants', n.nspname, c.relname
"""
MODEL = "model-tenant"
"""With this the slugs of the model begin, the former one too."""

FORMER = "-was"
HOST = ".example.com"
CELL = 50
"""How many tenants have the same value of a label, however many there are: a page of them."""

_NAMES = {"slug", "former_slugs", "login_hosts", "primary_login_host"}

_TIERS = ("gold", "silver", "bronze", "free")
_FREE_UUIDS = {"tenant_id", "parent_id"}


@dataclass(frozen=True)
class Many:
    """The tenants that were made, oldest first. The former slug of each is its slug with FORMER, its host that with
    HOST."""

    ids: Sequence[uuid.UUID]
    slugs: Sequence[str]


@dataclass(frozen=True)
class _Table:
    """A table that holds rows of the model."""

    schema: str
    name: str
    columns: Sequence[str]
    rows: Sequence[asyncpg.Record]


async def of_tenant(connection: asyncpg.Connection, tenant_id: uuid.UUID) -> dict[str, int]:
    """Return how many rows each table holds of the tenant, without tables that hold none."""
    return {f"{table.schema}.{table.name}": len(table.rows) for table in await _tables(connection, tenant_id)}


async def multiply(connection: asyncpg.Connection, model: uuid.UUID, number: int, prefix: str = "scale") -> Many:
    """Add so many tenants like the model, as the superuser, and gather statistics."""
    tables = await _tables(connection, model)
    many = Many([uuid7() for _ in range(number)], [f"{prefix}-{index:06d}" for index in range(number)])
    places = sorted(row["position"] for table in tables for row in table.rows if "position" in table.columns)
    step, last = (
        places[-1] - places[0] + 1,
        await connection.fetchval("SELECT last_value FROM tenant.tenant_event_positions"),
    )
    shift = last - places[0] + 1
    # Rows are copied from every table, those that triggers write too; their keys are right because the model's are.
    await connection.execute("SET session_replication_role = replica")
    for table in tables:
        await connection.copy_records_to_table(
            table.name,
            schema_name=table.schema,
            columns=table.columns,
            records=_copies(table, many, shift, step),
        )
    await connection.execute("RESET session_replication_role")
    await connection.execute("SELECT setval('tenant.tenant_event_positions', $1)", last + step * (number + 1))
    await connection.execute("ANALYZE")
    return many


async def _tables(connection: asyncpg.Connection, model: uuid.UUID) -> list[_Table]:
    found = []
    for table in await connection.fetch(_OWNED):
        rows = await connection.fetch(f"SELECT * FROM {table['schema']}.{table['name']} WHERE tenant_id = $1", model)
        if rows:
            found.append(_Table(table["schema"], table["name"], table["columns"], rows))
    return found


def _copies(table: _Table, many: Many, shift: int, step: int) -> Iterator[tuple[Any, ...]]:
    for index, (tenant_id, slug) in enumerate(zip(many.ids, many.slugs, strict=True)):
        own = {
            "tenant_id": tenant_id,
            "display_name": f"Tenant {index}",
            "external_id": f"crm-{slug}",
            "labels": json.dumps({"tier": _TIERS[index % len(_TIERS)], "cell": f"c{index // CELL}"}),
        }
        for row in table.rows:
            yield tuple(_value(column, row[column], own, shift + index * step, slug) for column in table.columns)


def _value(column: str, value: Any, own: dict[str, Any], shift: int, slug: str) -> Any:
    if value is None:
        return None
    if column in _NAMES:
        return [each.replace(MODEL, slug) for each in value] if isinstance(value, list) else value.replace(MODEL, slug)
    if column in own:
        return own[column]
    if column == "position":
        return value + shift
    return uuid.uuid4() if isinstance(value, uuid.UUID) and column not in _FREE_UUIDS else value
