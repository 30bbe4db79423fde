"""Row security on the tables of tenants: through a tenant's door there is one tenant, whatever the statement says."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import asyncpg
import pytest
from sqlalchemy import Table, delete, func, insert, literal, select, update

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.runtime.database import Database, InternalDatabaseError, compiled, connect
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.schema import metadata
from tenantmesh.tenant_svc.tenants import tables
from tenantmesh.tenant_svc.tenants.tables import (
    event_horizon,
    tenant_events,
    tenant_requests,
    tenant_slugs,
    tenant_tombstones,
    tenants,
)
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import as_superuser, new_tenant, unused_slug

OWNED = [tenants, tenant_slugs, tenant_events, tenant_requests]


@dataclass(frozen=True)
class Two:
    mine: Tenant
    theirs: Tenant


@pytest.fixture(scope="session")
async def two(tenants: Tenants) -> Two:
    mine, theirs = [await tenants.create(new_tenant(), RequestKey("ops", uuid.uuid4())) for _ in range(2)]
    return Two(mine, theirs)


def name(table: Table) -> str:
    return table.name


def test_every_table_of_tenants_is_here() -> None:
    declared = {each.name for each in vars(tables).values() if isinstance(each, Table)}
    assert {table.name for table in [*OWNED, event_horizon, tenant_tombstones]} == declared


@pytest.mark.parametrize("table", OWNED, ids=name)
async def test_only_the_own_rows_are_seen(database: Database, two: Two, table: Table) -> None:
    statement = compiled(select(table.c.tenant_id).distinct())
    async with database.tenant_transaction(two.mine.id, read_only=True) as connection:
        assert {row["tenant_id"] for row in await connection.fetch(statement)} == {two.mine.id}


@pytest.mark.parametrize("table", OWNED, ids=name)
async def test_naming_another_tenant_finds_nothing(database: Database, two: Two, table: Table) -> None:
    statement = compiled(select(func.count().label("rows")).where(table.c.tenant_id == literal(two.theirs.id)))
    async with database.tenant_transaction(two.mine.id, read_only=True) as connection:
        row = await connection.fetch_row(statement)
    assert row is not None
    assert row["rows"] == 0


async def test_another_tenant_can_not_be_changed(database: Database, tenants: Tenants, two: Two) -> None:
    statement = compiled(update(metadata.tables["tenant.tenants"]).values(display_name="taken over"))
    async with database.tenant_transaction(two.mine.id) as connection:
        assert await connection.execute(statement) == 1
    assert await tenants.get(two.theirs.id) == two.theirs


async def test_a_row_can_not_be_given_to_another_tenant(database: Database, two: Two) -> None:
    request = {"requester": "mallory", "request_id": uuid.uuid4(), "digest": b"", "create_time": func.now()}
    for statement in (
        update(tenants).values(tenant_id=literal(uuid7())),
        insert(tenant_requests).values(tenant_id=literal(two.theirs.id), **request),
    ):
        with pytest.raises(InternalDatabaseError, match="tenant context"):
            async with database.tenant_transaction(two.mine.id) as connection:
                await connection.execute(compiled(statement))


@pytest.mark.parametrize("table", [tenants, tenant_events, tenant_requests, event_horizon], ids=name)
async def test_the_app_role_deletes_no_tenant_and_no_event(database: Database, two: Two, table: Table) -> None:
    with pytest.raises(InternalDatabaseError):
        async with database.tenant_transaction(two.mine.id) as connection:
            await connection.execute(compiled(delete(table)))


async def test_events_are_never_rewritten(database: Database, two: Two) -> None:
    for table in (tenant_events, tenant_requests):
        with pytest.raises(InternalDatabaseError):
            async with database.tenant_transaction(two.mine.id) as connection:
                await connection.execute(compiled(update(table).values(tenant_id=table.c.tenant_id)))


async def test_the_directory_reads_all_and_changes_no_tenant(database: Database, two: Two) -> None:
    wanted = {two.mine.id, two.theirs.id}
    async with database.system_transaction("the test of what it may", read_only=True) as connection:
        seen = {row["tenant_id"] for row in await connection.fetch(compiled(select(tenants.c.tenant_id)))}
    assert wanted <= seen
    refused = [
        update(tenants).values(slug=unused_slug()),
        delete(tenants),
        update(tenant_events).values(reason="rewritten"),
        delete(tenant_requests),
        delete(event_horizon),
    ]
    for statement in refused:
        with pytest.raises(InternalDatabaseError):
            async with database.system_transaction("the test of what it may not") as connection:
                await connection.execute(compiled(statement))


async def test_the_reading_function_gives_the_tenant_asked_for_and_nothing_else(database: Database, two: Two) -> None:
    rows = await database.tenant_read(two.mine.id, "read_tenant")
    assert [row["tenant_id"] for row in rows] == [two.mine.id]
    assert await database.tenant_read(uuid7(), "read_tenant") == []
    with pytest.raises(InternalDatabaseError, match="nil UUID"):
        await database.tenant_read(uuid.UUID(int=0), "read_tenant")
    with pytest.raises(InternalDatabaseError, match="without its schema"):
        await database.tenant_read(two.mine.id, "read_tenant(); drop table tenant.tenants")


async def test_the_reading_function_leaves_no_tenant_behind(migrated: WorkerDatabase, two: Two) -> None:
    connection = await connect(migrated.url("tenant_app"))
    try:
        assert len(await connection.fetch("select * from tenant.read_tenant($1)", two.mine.id)) == 1
        assert await connection.fetchval("select current_setting('app.tenant_id', true)") == ""
        with pytest.raises(asyncpg.PostgresError):
            await connection.fetch("select * from tenant.tenants")
    finally:
        await connection.close()


async def test_the_reading_function_is_under_row_security(migrated: WorkerDatabase, two: Two) -> None:
    """Were it to run as its owner or past the policies, a function that sets another tenant would see both."""
    await as_superuser(
        migrated,
        """create or replace function tenant.read_all(wanted uuid) returns setof tenant.tenants language plpgsql as
        $$ begin perform set_config('app.tenant_id', wanted::text, true);
        return query select * from tenant.tenants; end $$""",
    )
    await as_superuser(migrated, "grant execute on function tenant.read_all(uuid) to tenant_app")
    connection = await connect(migrated.url("tenant_app"))
    try:
        rows = await connection.fetch("select tenant_id from tenant.read_all($1)", two.theirs.id)
        assert [row["tenant_id"] for row in rows] == [two.theirs.id]
    finally:
        await connection.close()
        await as_superuser(migrated, "drop function tenant.read_all(uuid)")


async def test_a_read_survives_the_death_of_idle_connections(
    migrated: WorkerDatabase, database: Database, two: Two
) -> None:
    await database.tenant_read(two.mine.id, "read_tenant")
    ours = "usename = 'tenant_app' and datname = current_database()"
    await as_superuser(migrated, f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")
    assert await database.tenant_read(two.mine.id, "read_tenant")
