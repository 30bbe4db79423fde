from __future__ import annotations

import uuid

import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Executable,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateTable

from tenantmesh.runtime.database import compiled

THINGS = Table(
    "things",
    MetaData(schema="demo"),
    Column("tenant_id", Uuid, primary_key=True),
    Column("name", Text),
    Column("size", BigInteger),
    Column("extra", JSONB),
)

DEFAULTED = Table("defaulted", MetaData(), Column("a", Integer, default=lambda: 1), Column("b", Integer))


def test_parameters_become_positional() -> None:
    statement = compiled(
        select(THINGS.c.name)
        .where(THINGS.c.tenant_id == bindparam("tenant_id"), THINGS.c.name == bindparam("name"))
        .where(THINGS.c.size > 5)
        .limit(bindparam("count", type_=Integer))
    )
    tenant = uuid.uuid4()
    assert "$1::UUID" in statement.sql
    assert statement.arguments({"name": "n", "count": 10, "tenant_id": tenant}) == [tenant, "n", 5, 10]


def test_a_name_used_twice_is_one_parameter() -> None:
    statement = compiled(select(THINGS).where(THINGS.c.name == bindparam("n", type_=Text), bindparam("n") != ""))
    assert statement.arguments({"n": "x"})[0] == "x"


def test_insert_takes_the_columns_by_name() -> None:
    statement = compiled(insert(THINGS))
    tenant = uuid.uuid4()
    assert statement.arguments({"extra": {"a": 1}, "size": None, "name": "n", "tenant_id": tenant}) == [
        tenant,
        "n",
        None,
        '{"a": 1}',
    ]


def test_missing_and_unknown_parameters_are_named() -> None:
    statement = compiled(update(THINGS).where(THINGS.c.name == bindparam("old")).values(name=bindparam("new")))
    with pytest.raises(TypeError, match=r"missing \['new'\], unknown \['nwe'\]"):
        statement.arguments({"old": "a", "nwe": "b"})


def test_arrays_are_one_parameter() -> None:
    statement = compiled(select(THINGS).where(THINGS.c.tenant_id == any_(bindparam("ids", type_=ARRAY(Uuid)))))
    ids = [uuid.uuid4(), uuid.uuid4()]
    assert statement.arguments({"ids": ids}) == [ids]


@pytest.mark.parametrize(
    ("executable", "complaint"),
    [
        (select(THINGS).where(THINGS.c.name.in_(["a"])), "any_"),
        (insert(DEFAULTED).values(b=bindparam("b")), "defaults computed in Python"),
        (CreateTable(THINGS), "migration"),
        (text("SELECT set_config('app.tenant_id', :other, true)"), "tenant"),
        (text("SET LOCAL app.tenant_id = 'x'"), "tenant"),
        (text("SELECT set_config('search_path', 'x', false)"), "tenant"),
        (text("  COMMIT"), "end its transaction"),
        (text("SAVEPOINT a"), "end its transaction"),
        (text("SELECT pg_advisory_lock(1)"), "outlive"),
    ],
)
def test_what_cannot_or_must_not_be_compiled_is_refused(executable: Executable, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        compiled(executable)


def test_a_lock_of_the_transaction_may_be_taken() -> None:
    assert compiled(text("SELECT pg_advisory_xact_lock(1)"))
