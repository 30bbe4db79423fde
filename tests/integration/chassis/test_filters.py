"""Filters and orders as SQL, on a real PostgreSQL: the rows that a second reading finds, in pages without a gap."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tenantmesh.chassis.filters.parser import parsed
from tenantmesh.chassis.filters.tree import AllOf, AnyOf, Comparison, Literal, Negation, Node, Operator, Search
from tests.fixtures.engines import WorkerDatabase
from tests.integration.chassis import things
from tests.integration.chassis.evaluator import Row, matches
from tests.integration.chassis.things import FIELDS, ORDERS, THINGS, fetch

ROWS = [things.random_row(random.Random(number)) for number in range(300)]
Stored = Any  # asyncpg.Connection, generic for type checkers only


def literals(texts: list[str], *, wild: bool = True) -> st.SearchStrategy[Literal]:
    whole = st.sampled_from(texts).map(lambda text: Literal((text,)))
    if not wild:
        return whole
    return st.one_of(whole, st.lists(st.sampled_from(texts), min_size=2, max_size=3).map(lambda x: Literal(tuple(x))))


def compared(name: str, operators: list[Operator], values: st.SearchStrategy[Literal]) -> st.SearchStrategy[Node]:
    return st.builds(lambda operator, value: Comparison((name,), operator, value), st.sampled_from(operators), values)


def has(name: str, values: list[str]) -> st.SearchStrategy[Node]:
    return compared(name, [Operator.HAS], st.one_of(literals(values, wild=False), st.just(Literal(("", "")))))


EQUAL = [Operator.EQUAL, Operator.UNEQUAL]
SCALAR: list[Operator] = [operator for operator in Operator if operator is not Operator.HAS]
TIMES = [time.isoformat() for time in things.TIMES]
WORDS = ["a", "b", "ab", "c", "CD", "é", "日", "ab c", "x"]
LEAVES = st.one_of(
    *(compared(name, EQUAL, literals(things.TEXTS)) for name in ("slug", "title", "note")),
    *(has(name, things.TEXTS[1:]) for name in ("slug", "title", "note")),
    compared("state", EQUAL, literals(list(things.STATES), wild=False)),
    compared("size", SCALAR, literals(["-1", "0", "1", str(10**17)], wild=False)),
    compared("kept", EQUAL, literals(["true", "false"], wild=False)),
    compared("made", SCALAR, literals(TIMES, wild=False)),
    compared("gone", SCALAR, literals(TIMES, wild=False)),
    compared("gone", [Operator.HAS], st.just(Literal(("", "")))),
    compared("parent", EQUAL, literals([str(parent) for parent in things.PARENTS], wild=False)),
    has("labels", things.KEYS),
    has("hosts", [*things.HOSTS, "A.Example"]),
    st.builds(
        lambda key, operator, value: Comparison(("labels", key), operator, value),
        st.sampled_from(things.KEYS), st.sampled_from([*EQUAL, Operator.HAS]), literals(things.ENTRIES),
    ),
    st.builds(Search, literals(WORDS, wild=False)),
)  # fmt: skip


def joined(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(nodes, min_size=2, max_size=3).map(tuple)
    return st.one_of(several.map(AllOf), several.map(AnyOf), nodes.map(Negation))


TREES: st.SearchStrategy[Node] = st.recursive(LEAVES, joined, max_leaves=6)


@pytest.fixture(scope="module")
async def stored(postgres: WorkerDatabase) -> AsyncIterator[Stored]:
    connection = await asyncpg.connect(postgres.admin_url.get_secret_value())
    await things.store(connection, ROWS)
    yield connection
    await connection.close()


async def found(stored: Stored, text: str) -> set[Any]:
    selection = FIELDS.selected(text)
    rows = await fetch(stored, select(THINGS.c.id).where(FIELDS.condition(selection.shape)), **selection.parameters)
    return {row["id"] for row in rows}


def expected(node: Node | None) -> set[Any]:
    return {row["id"] for row in ROWS if matches(row, node)}


@given(node=TREES)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_sql_finds_what_a_filter_means(stored: Stored, node: Node) -> None:
    assert await found(stored, str(node)) == expected(node)


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("", lambda row: row["id"] is not None),
        ("state = STATE_ACTIVE", lambda row: row["state"] == "ACTIVE"),
        ("note != a", lambda row: row["note"] != "a"),
        ("NOT size < 1", lambda row: row["size"] is None or row["size"] >= 1),
        ("slug = 'a*'", lambda row: row["slug"].startswith("a")),
        ("slug = 'b\\u0025'", lambda row: row["slug"] == "b%"),
        ("slug = 'a_*'", lambda row: row["slug"] == "a_b"),
        ("slug = '*_b'", lambda row: row["slug"] == "a_b"),
        ("slug = '*%'", lambda row: row["slug"] == "b%"),
        ("slug = '*\\\\b'", lambda row: row["slug"] == "a\\b"),
        ("title:é", lambda row: "é" in row["title"].lower()),
        ("labels.env != prod", lambda row: row["labels"].get("env") != "prod"),
        ('labels."a.b":*', lambda row: "a.b" in row["labels"]),
        ("hosts:A.example", lambda row: "a.example" in row["hosts"]),
        ("size >= 99999999999", lambda row: row["size"] == 99999999999),
        ("kept = true OR size = 0 note:*", lambda row: (row["kept"] or row["size"] == 0) and row["note"]),
        ("cd", lambda row: "cd" in row["title"].lower()),
        ('"B a"', lambda row: row["title"] in {"a_b", "a\\b", "a*b"}),
    ],
)  # fmt: skip
async def test_a_filter_finds_its_rows(stored: Stored, text: str, alike: Callable[[Row], bool]) -> None:
    assert await found(stored, text) == {row["id"] for row in ROWS if alike(row)}


def test_rows_tell_filters_apart() -> None:
    """Else the comparison above would compare nothing with nothing."""
    for text in (
        "slug = a*",
        "note:a",
        "labels.env = 'p*d'",
        "hosts:*",
        "gone < '2026-01-02T12:00:00Z'",
        "cd",
        "size != 0",
    ):
        assert 10 < len(expected(parsed("filter", text)[1])) < len(ROWS) - 10, text


async def pages(stored: Stored, order_by: str, size: int) -> AsyncIterator[list[asyncpg.Record]]:
    order = ORDERS.ordered(order_by)
    tokens = ORDERS.tokens(order, b"things").of(order.text)
    token = ""
    while True:
        place = tokens.open(token)
        query = select(THINGS).order_by(*ORDERS.clauses(order)).limit(size + 1)
        query = query.where(ORDERS.after(order, [value is None for value in place])) if place else query
        page = tokens.page(
            await fetch(stored, query, **ORDERS.parameters(place)), size, lambda row: ORDERS.place(order, row)
        )
        yield page.items
        token = page.next_token
        if not token:
            return


def in_order(order_by: str) -> list[Any]:
    """The ids of all rows as Python sorts them, with None after all values."""
    keys = [part.split() for part in order_by.split(",") if part]
    rows = sorted(ROWS, key=lambda row: row["id"].bytes, reverse=bool(keys) and "desc" in keys[-1])
    for name, *direction in reversed(keys):
        ranks = {value: rank for rank, value in enumerate(sorted({row[name] for row in rows} - {None}))}
        rows.sort(key=lambda row: ranks.get(row[name], len(ROWS)), reverse=direction == ["desc"])
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    "order_by",
    [
        *("", "slug", "title desc", "made, slug", "made desc,slug desc", "made desc, slug", "note", "note desc"),
        *("size, note desc", "gone desc, size", "state, gone, note desc"),
    ],
)
async def test_pages_hold_every_row_once_in_order(stored: Stored, order_by: str) -> None:
    found = [row["id"] async for page in pages(stored, order_by, 7) for row in page]
    assert found == in_order(order_by)
