"""The tenant door and the system door, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import BigInteger, bindparam, delete, func, insert, select, update

from tenantmesh.runtime.database import (
    Connection,
    ConstraintViolation,
    Database,
    DatabaseUnavailable,
    ForeignKeyViolation,
    InternalDatabaseError,
    Statement,
    TransactionConflict,
    UniqueViolation,
    compiled,
)
from tests.integration.runtime.conftest import DemoDatabase, OpenDatabase
from tests.integration.runtime.demo_service.tables import COLOURS, NOTES

ADD = compiled(
    insert(NOTES).values(
        tenant_id=bindparam("tenant_id"), id=bindparam("id"), title=bindparam("title"), parent_id=bindparam("parent_id")
    )
)
TITLES = compiled(select(NOTES.c.title).order_by(NOTES.c.title))
RENAME = compiled(update(NOTES).where(NOTES.c.id == bindparam("note")).values(title=bindparam("title")))
DELETE_ALL = compiled(delete(NOTES))
COUNT = compiled(select(func.count()).select_from(NOTES))
SLEEP = compiled(select(func.pg_sleep(bindparam("seconds"))))
BACKEND = compiled(select(func.pg_backend_pid().label("pid")))
NUMBER = compiled(select(bindparam("number", type_=BigInteger).label("number")))
# What `compiled` refuses, as a defect of ours could still bring it about.
SMUGGLED = Statement("SELECT set_config('app.tenant_id', $1, false)", ("tenant",), {}, {})
SETTING = Statement("SELECT current_setting($1, true) AS value", ("name",), {}, {})


async def add(connection: Connection, tenant: uuid.UUID, title: str, parent: uuid.UUID | None = None) -> uuid.UUID:
    note = uuid.uuid4()
    assert await connection.execute(ADD, tenant_id=tenant, id=note, title=title, parent_id=parent) == 1
    return note


async def store(database: Database, tenant: uuid.UUID, *names: str, owner: uuid.UUID | None = None) -> None:
    """Add notes in one transaction of `tenant`, as rows of `owner` or else of the tenant."""
    async with database.tenant_transaction(tenant) as connection:
        for name in names:
            await add(connection, owner or tenant, name)


async def titles(database: Database, tenant: uuid.UUID) -> list[str]:
    async with database.tenant_transaction(tenant, read_only=True) as connection:
        return [row["title"] for row in await connection.fetch(TITLES)]


async def backend(database: Database, tenant: uuid.UUID) -> int:
    async with database.tenant_transaction(tenant) as connection:
        row = await connection.fetch_row(BACKEND)
    assert row is not None
    return int(row["pid"])


async def test_a_tenant_sees_and_changes_only_its_own_rows(database: Database) -> None:
    acme, other = uuid.uuid4(), uuid.uuid4()
    async with database.tenant_transaction(acme) as connection:
        note = await add(connection, acme, "mine")
    async with database.tenant_transaction(other) as connection:
        assert await connection.fetch(TITLES) == []
        assert await connection.execute(RENAME, note=note, title="stolen") == 0
        assert await connection.execute(DELETE_ALL) == 0
    assert await titles(database, acme) == ["mine"]


async def test_a_row_for_another_tenant_is_refused_as_a_defect(database: Database) -> None:
    with pytest.raises(InternalDatabaseError, match="tenant context"):
        await store(database, uuid.uuid4(), "planted", owner=uuid.uuid4())


async def test_an_exception_rolls_back(database: Database) -> None:
    tenant = uuid.uuid4()

    async def fail() -> None:
        async with database.tenant_transaction(tenant) as connection:
            await add(connection, tenant, "never")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await titles(database, tenant) == []


async def test_read_only_refuses_writes(database: Database) -> None:
    tenant = uuid.uuid4()
    with pytest.raises(InternalDatabaseError, match="25006"):
        async with database.tenant_transaction(tenant, read_only=True) as connection:
            await add(connection, tenant, "written")


async def test_the_system_door_sees_what_it_was_granted_and_has_no_tenant(database: Database) -> None:
    acme = uuid.uuid4()
    async with database.tenant_transaction(acme) as connection:
        await add(connection, acme, f"listed-{acme}")
    async with database.system_transaction("list titles of all tenants", read_only=True) as connection:
        assert any(row["title"] == f"listed-{acme}" for row in await connection.fetch(TITLES))
        setting = await connection.fetch_row(SETTING, name="app.tenant_id")
        assert setting is not None
        assert setting["value"] == ""
    async with database.system_transaction("add a colour") as connection:
        await connection.execute(compiled(insert(COLOURS)), name=str(acme))
    with pytest.raises(InternalDatabaseError, match="tenant context"):
        async with database.system_transaction("reach beyond the grant") as connection:
            await connection.execute(DELETE_ALL)


@pytest.mark.parametrize("tenant", [uuid.UUID(int=0), "acme'; DROP TABLE notes; --", None])
async def test_what_is_no_tenant_is_refused(database: Database, tenant: Any) -> None:
    with pytest.raises(InternalDatabaseError, match="nil UUID"):
        database.tenant_transaction(tenant)


async def test_a_system_transaction_says_why(database: Database) -> None:
    with pytest.raises(InternalDatabaseError, match="reason"):
        database.system_transaction(" ")


async def test_a_tenant_smuggled_into_the_session_does_not_reach_the_next_transaction(
    open_database: OpenDatabase,
) -> None:
    """A session-level setting survives COMMIT, which is how pools leak tenants."""
    database = await open_database(pool_size=1, system_pool_size=1)
    victim, next_one = uuid.uuid4(), uuid.uuid4()
    async with database.tenant_transaction(victim) as connection:
        await add(connection, victim, "secret")
        await connection.execute(SMUGGLED, tenant=str(victim))
    pid = await backend(database, victim)
    async with database.tenant_transaction(next_one) as connection:
        assert await connection.fetch(TITLES) == []
        setting = await connection.fetch_row(SETTING, name="app.tenant_id")
        assert setting is not None
        assert uuid.UUID(setting["value"]) == next_one
    assert await backend(database, next_one) == pid, "the test is about one and the same connection"
    async with database.system_transaction("smuggle") as connection:
        await connection.execute(SMUGGLED, tenant=str(victim))
    async with database.system_transaction("look") as connection:
        setting = await connection.fetch_row(SETTING, name="app.tenant_id")
        assert setting is not None
        assert setting["value"] == ""


async def test_no_session_setting_reaches_the_next_transaction(open_database: OpenDatabase) -> None:
    database = await open_database(pool_size=1)
    tenant = uuid.uuid4()
    for name, value in (("search_path", "pg_catalog"), ("statement_timeout", "0"), ("app.other", "x")):
        async with database.tenant_transaction(tenant) as connection:
            before = await connection.fetch_row(SETTING, name=name)
            await connection.execute(Statement(f"SELECT set_config('{name}', $1, false)", ("v",), {}, {}), v=value)
        async with database.tenant_transaction(tenant) as connection:
            after = await connection.fetch_row(SETTING, name=name)
        assert before is not None
        assert after is not None
        assert (after["value"] or None) == (before["value"] or None)


async def test_times_are_told_in_utc_whatever_the_database_says(
    demo: DemoDatabase, open_database: OpenDatabase
) -> None:
    await demo.as_superuser(f"ALTER DATABASE {demo.name} SET timezone = 'Europe/Berlin'")
    try:
        database = await open_database(pool_size=1)
        for _ in range(2):  # the second time on a connection that was reset
            for door in (
                database.tenant_transaction(uuid.uuid4()),
                database.system_transaction("the test of the zone"),
            ):
                async with door as connection:
                    zone = await connection.fetch_row(SETTING, name="timezone")
                assert zone is not None
                assert zone["value"] == "UTC"
    finally:
        await demo.as_superuser(f"ALTER DATABASE {demo.name} RESET timezone")


async def test_one_statement_is_one_statement(database: Database) -> None:
    """Without parameters a driver may use the protocol that runs whatever follows a semicolon."""
    smuggler = Statement("SELECT 1; COMMIT; SET app.tenant_id = 'x'", (), {}, {})
    for run in ("fetch", "fetch_row", "execute"):
        with pytest.raises(InternalDatabaseError):
            async with database.tenant_transaction(uuid.uuid4()) as connection:
                await getattr(connection, run)(smuggler)


async def test_a_transaction_inside_another_is_refused(database: Database) -> None:
    async with database.tenant_transaction(uuid.uuid4()):
        with pytest.raises(InternalDatabaseError, match="open in this task already"):
            async with database.tenant_transaction(uuid.uuid4()):
                pass
        async with database.system_transaction("the other door is another matter"):
            pass
    async with database.tenant_transaction(uuid.uuid4()):
        pass


async def test_a_connection_ends_with_its_transaction(database: Database) -> None:
    async with database.tenant_transaction(uuid.uuid4()) as connection:
        pass
    with pytest.raises(InternalDatabaseError, match="over"):
        await connection.fetch(TITLES)


async def test_violations_name_the_constraint(database: Database) -> None:
    with pytest.raises(UniqueViolation) as unique:
        await store(database, uuid.uuid4(), "same", "same")
    assert unique.value.constraint == "notes_title_key"


async def test_the_nil_tenant_is_refused_by_the_table_too(database: Database) -> None:
    async def store_nil() -> None:
        async with database.tenant_transaction(uuid.uuid4()) as connection:
            await connection.execute(SMUGGLED, tenant=str(uuid.UUID(int=0)))
            await add(connection, uuid.UUID(int=0), "nobody's")

    with pytest.raises(ConstraintViolation) as nil:
        await store_nil()
    assert nil.value.constraint == "notes_tenant_is_real"


async def test_a_constraint_checked_at_commit_is_a_violation_not_a_lost_commit(database: Database) -> None:
    tenant = uuid.uuid4()
    with pytest.raises(ForeignKeyViolation):
        async with database.tenant_transaction(tenant) as connection:
            await add(connection, tenant, "orphan", parent=uuid.uuid4())
    assert await titles(database, tenant) == []


async def test_a_swallowed_failure_cannot_look_like_a_commit(database: Database) -> None:
    tenant = uuid.uuid4()

    async def swallow() -> None:
        async with database.tenant_transaction(tenant) as connection:
            await add(connection, tenant, "same")
            with suppress(UniqueViolation):
                await add(connection, tenant, "same")

    with pytest.raises(InternalDatabaseError, match="nothing was stored"):
        await swallow()
    assert await titles(database, tenant) == []


async def test_a_value_that_does_not_fit_costs_no_connection(open_database: OpenDatabase) -> None:
    database = await open_database(pool_size=1)
    pid = await backend(database, uuid.uuid4())
    with pytest.raises(InternalDatabaseError, match="refused the statement"):
        async with database.tenant_transaction(uuid.uuid4()) as connection:
            await connection.fetch(NUMBER, number=2**80)
    assert await backend(database, uuid.uuid4()) == pid


async def test_execute_many_stores_all_or_nothing(database: Database) -> None:
    tenant = uuid.uuid4()
    rows = [{"tenant_id": tenant, "id": uuid.uuid4(), "title": f"n{n}", "parent_id": None} for n in range(50)]
    async with database.tenant_transaction(tenant) as connection:
        await connection.execute_many(ADD, rows)
    assert len(await titles(database, tenant)) == 50
    with pytest.raises(UniqueViolation):
        async with database.tenant_transaction(tenant) as connection:
            await connection.execute_many(ADD, [{**rows[0], "title": "new"}, {**rows[1], "id": uuid.uuid4()}])
    assert "new" not in await titles(database, tenant)


async def test_a_cancelled_statement_costs_its_connection_and_stops_on_the_server(
    open_database: OpenDatabase, demo: DemoDatabase
) -> None:
    database = await open_database(pool_size=1)
    tenant = uuid.uuid4()
    pid = await backend(database, tenant)

    async def slow() -> None:
        async with database.tenant_transaction(tenant) as connection:
            await connection.execute(SMUGGLED, tenant=str(tenant))
            await connection.fetch(SLEEP, seconds=4.0)

    task = asyncio.create_task(slow())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await backend(database, tenant) != pid
    assert not await running(demo, "%pg_sleep%")


async def running(demo: DemoDatabase, like: str) -> bool:
    connection = await asyncpg.connect(demo.url("postgres").get_secret_value())
    try:
        query = "SELECT 1 FROM pg_stat_activity WHERE query LIKE $1 AND state = 'active' AND pid <> pg_backend_pid()"
        return await connection.fetchrow(query, like) is not None
    finally:
        await connection.close()


@pytest.mark.parametrize("delay_ms", [0, 1, 2, 5])
async def test_cancelling_anywhere_leaves_the_pool_whole(open_database: OpenDatabase, delay_ms: int) -> None:
    database = await open_database(pool_size=2, acquire_timeout=timedelta(seconds=10))
    tenant = uuid.uuid4()

    async def work() -> None:
        async with database.tenant_transaction(tenant) as connection:
            await connection.fetch(COUNT)

    tasks = [asyncio.create_task(work()) for _ in range(20)]
    for number, task in enumerate(tasks):
        await asyncio.sleep(delay_ms / 1000 if number % 4 == 0 else 0)
        if number % 2:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await asyncio.gather(*(titles(database, tenant) for _ in range(20))) == [[]] * 20


async def test_parallel_transactions_of_many_tenants_never_mix(open_database: OpenDatabase) -> None:
    database = await open_database(pool_size=4, acquire_timeout=timedelta(seconds=30))
    tenants = [uuid.uuid4() for _ in range(10)]
    for tenant in tenants:
        async with database.tenant_transaction(tenant) as connection:
            await add(connection, tenant, str(tenant))

    async def look(tenant: uuid.UUID) -> None:
        assert await titles(database, tenant) == [str(tenant)]

    await asyncio.gather(*(look(tenant) for tenant in tenants * 30))


async def test_a_full_pool_is_unavailable_but_the_database_is_well(open_database: OpenDatabase) -> None:
    database = await open_database(pool_size=1, acquire_timeout=timedelta(milliseconds=50))
    async with database.tenant_transaction(uuid.uuid4()):

        async def second() -> None:
            async with database.tenant_transaction(uuid.uuid4()):
                pass

        with pytest.raises(DatabaseUnavailable, match="in use"):
            await asyncio.create_task(second())
        await database.check()


async def test_a_statement_that_takes_too_long_is_unavailable(open_database: OpenDatabase) -> None:
    database = await open_database(command_timeout=timedelta(milliseconds=100))
    with pytest.raises(DatabaseUnavailable):
        async with database.tenant_transaction(uuid.uuid4()) as connection:
            await connection.fetch(SLEEP, seconds=3.0)
    await titles(database, uuid.uuid4())


async def test_a_deadlock_is_a_conflict(database: Database) -> None:
    tenant = uuid.uuid4()
    async with database.tenant_transaction(tenant) as connection:
        notes = [await add(connection, tenant, title) for title in ("a", "b")]
    ready = asyncio.Barrier(2)

    async def take(first: uuid.UUID, second: uuid.UUID, title: str) -> None:
        async with database.tenant_transaction(tenant) as connection:
            await connection.execute(RENAME, note=first, title=f"{title}1")
            await ready.wait()
            await connection.execute(RENAME, note=second, title=f"{title}2")

    results = await asyncio.gather(take(notes[0], notes[1], "x"), take(notes[1], notes[0], "y"), return_exceptions=True)
    failures = [result for result in results if isinstance(result, Exception)]
    assert failures
    assert all(isinstance(failure, (TransactionConflict, DatabaseUnavailable)) for failure in failures)


async def test_a_database_that_cannot_be_reached_does_not_open(demo: DemoDatabase) -> None:
    settings = demo.settings(url="postgresql://tenant_app:wrong@/nowhere?host=/nowhere")
    with pytest.raises(DatabaseUnavailable):
        await Database(settings, schema="tenant").open()


async def test_a_door_without_a_url_says_which_setting_is_missing(demo: DemoDatabase) -> None:
    database = Database(demo.settings(system_url=None), schema="tenant")
    with pytest.raises(InternalDatabaseError, match="TENANTMESH_DATABASE_SYSTEM_URL"):
        async with database.system_transaction("test"):
            pass
    with pytest.raises(InternalDatabaseError, match="TENANTMESH_DATABASE_SYSTEM_URL"):
        database.listen("news", print)
    await database.close()
