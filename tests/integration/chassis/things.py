"""A table with a column of each type that filters know, and random rows for it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy import ARRAY, Boolean, Column, Integer, MetaData, Select, Table, Text, Uuid, func, insert, make_url
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.schema import CreateTable

from tenantmesh.chassis.filters.ordering import Orders, SortField
from tenantmesh.chassis.filters.scalars import BooleanField, IntegerField, TimeField, UuidField
from tenantmesh.chassis.filters.selection import Fields
from tenantmesh.chassis.filters.texts import ListField, MapField, NameField, TextField
from tenantmesh.chassis.filters.words import WordSearch, words
from tenantmesh.runtime.database import compiled

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("slug", Text(collation="C"), nullable=False),
    Column("title", Text, nullable=False),
    Column("note", Text),
    Column("state", Text, nullable=False),
    Column("size", Integer),
    Column("kept", Boolean, nullable=False),
    Column("made", TIMESTAMP(timezone=True), nullable=False),
    Column("gone", TIMESTAMP(timezone=True)),
    Column("parent", Uuid),
    Column("labels", JSONB, nullable=False),
    Column("hosts", ARRAY(Text), nullable=False),
    prefixes=["TEMPORARY"],
)
DIALECT = make_url("postgresql+asyncpg://").get_dialect()()
STATES = ("ACTIVE", "SUSPENDED", "DELETED")
TEXTS = ["", "a", "ab", "aB", "b%", "a_b", "a\\b", "a*b", "é", "Éa b", "日本", "😀", "Ab cd", "cd-AB"]
KEYS, ENTRIES = ["env", "a.b", "Env", "%"], ["prod", "prod-eu", "p*d", "%", ""]
HOSTS = ["a.example", "b.example", "xn--bcher-kva.example"]
PARENTS = [uuid.UUID(int=number + 1) for number in range(3)]
START = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = [START + timedelta(days=number, microseconds=number) for number in range(4)]


FIELDS = Fields(
    {
        "slug": TextField(THINGS.c.slug),
        "title": TextField(THINGS.c.title),
        "note": TextField(THINGS.c.note),
        "state": NameField(THINGS.c.state, {name: name for name in STATES}, "STATE_"),
        "size": IntegerField(THINGS.c.size),
        "kept": BooleanField(THINGS.c.kept),
        "made": TimeField(THINGS.c.made),
        "gone": TimeField(THINGS.c.gone),
        "parent": UuidField(THINGS.c.parent),
        "labels": MapField(THINGS.c.labels),
        "hosts": ListField(THINGS.c.hosts, str.lower),
    },
    WordSearch(func.array_to_tsvector(words(THINGS.c.title))),
)
ORDERED = ("slug", "title", "note", "state", "size", "made", "gone")


def _field(name: str) -> SortField[asyncpg.Record]:
    return SortField(THINGS.c[name], lambda row: row[name])


ORDERS = Orders({name: _field(name) for name in ORDERED}, last=_field("id"))


def random_row(draw: random.Random) -> dict[str, Any]:
    """A row whose values are near to each other, so that filters tell some rows from others."""
    return {
        "id": uuid.UUID(int=draw.getrandbits(128)),
        "slug": draw.choice(TEXTS),
        "title": draw.choice(TEXTS),
        "note": draw.choice([None, *TEXTS]),
        "state": draw.choice(STATES),
        "size": draw.choice([None, -1, 0, 1, 2**31 - 1]),
        "kept": draw.choice([True, False]),
        "made": draw.choice(TIMES),
        "gone": draw.choice([None, *TIMES]),
        "parent": draw.choice([None, *PARENTS]),
        "labels": {key: draw.choice(ENTRIES) for key in draw.sample(KEYS, draw.randrange(4))},
        "hosts": draw.sample(HOSTS, draw.randrange(3)),
    }


async def store(connection: asyncpg.Connection[asyncpg.Record], rows: Sequence[dict[str, Any]]) -> None:
    """Make the table for this connection, with these rows."""
    await connection.execute(str(CreateTable(THINGS).compile(dialect=DIALECT)))
    statement = compiled(insert(THINGS))
    await connection.executemany(statement.sql, [statement.arguments(row) for row in rows])


async def fetch(
    connection: asyncpg.Connection[asyncpg.Record], query: Select[Any], **values: object
) -> list[asyncpg.Record]:
    """Run a query as services do."""
    statement = compiled(query)
    return await connection.fetch(statement.sql, *statement.arguments(values))
