"""Row security on the tables of tenants: through a tenant's door there is one tenant, whatever the statement says."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import pytest
from sqlalchemy import Table, delete, func, insert, literal, select, update

from runtime.database import Database, InternalDatabaseError, compiled
from runtime.ids import uuid7
from tenant_svc.tenants.tables import event_horizon, metadata, positions, tenant_events, tenant_requests, tenants
from tenant_svc.tenants.tenant import RequestKey, Tenant
from tenant_svc.tenants.tenants import Tenants
from tests.integration.tenant_svc.conftest import new_tenant, unused_slug

OWNED = [tenants, tenant_events, tenant_requests]


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


def test_every_table_that_is_a_tenants_is_here() -> None:
    assert {table.name for table in [*OWNED, event_horizon]} == {table.name for table in metadata.tables.values()}


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


@pytest.mark.parametrize("table", [*OWNED, event_horizon], ids=name)
async def test_the_app_role_deletes_nothing(database: Database, two: Two, table: Table) -> None:
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
        select(positions.next_value()),
    ]
    for statement in refused:
        with pytest.raises(InternalDatabaseError):
            async with database.system_transaction("the test of what it may not") as connection:
                await connection.execute(compiled(statement))
