"""One transaction over several tenants: each part sees one tenant, and all of it counts or none."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tenantmesh.runtime.database import Database, DatabaseError, InternalDatabaseError, SeveralTenants, UniqueViolation
from tests.integration.runtime.test_doors import ADD, COUNT, TITLES, add, titles

REASON = "test several tenants at once"


@pytest.fixture
def tenants() -> tuple[uuid.UUID, uuid.UUID]:
    return uuid.uuid4(), uuid.uuid4()


async def test_each_part_sees_its_tenant_and_all_is_stored_at_once(
    database: Database, tenants: tuple[uuid.UUID, uuid.UUID]
) -> None:
    acme, globex = tenants
    async with database.tenants_transaction(REASON) as several:
        for tenant, title in ((acme, "one"), (globex, "two"), (acme, "three")):
            async with several.of(tenant) as connection:
                await add(connection, tenant, title)
        async with several.of(globex) as connection:
            assert [row["title"] for row in await connection.fetch(TITLES)] == ["two"]
        assert await asyncio.create_task(titles(database, acme)) == [], "not before the end"
    assert (await titles(database, acme), await titles(database, globex)) == (["one", "three"], ["two"])


async def test_a_part_writes_no_row_of_another_tenant(database: Database, tenants: tuple[uuid.UUID, uuid.UUID]) -> None:
    acme, globex = tenants
    with pytest.raises(DatabaseError, match="42501"):
        async with database.tenants_transaction(REASON) as several, several.of(acme) as connection:
            await add(connection, globex, "foreign")
    assert await titles(database, globex) == []


async def test_outside_of_a_part_no_tenant_is_seen(database: Database, tenants: tuple[uuid.UUID, uuid.UUID]) -> None:
    async def look_outside() -> None:
        async with database.tenants_transaction(REASON) as several:
            async with several.of(tenants[0]) as connection:
                await add(connection, tenants[0], "one")
            await several.connection.fetch(COUNT)

    with pytest.raises(DatabaseError, match=r"app\.tenant_id"):
        await look_outside()
    assert await titles(database, tenants[0]) == []


async def fail_in_part(several: SeveralTenants, tenant: uuid.UUID, note: uuid.UUID) -> None:
    async with several.of(tenant) as connection:
        await add(connection, tenant, "goes")
        await connection.execute(ADD, tenant_id=tenant, id=note, title="twice", parent_id=None)


async def test_a_part_that_fails_is_undone_and_the_others_stay(
    database: Database, tenants: tuple[uuid.UUID, uuid.UUID]
) -> None:
    acme, globex = tenants
    async with database.tenants_transaction(REASON) as several:
        async with several.of(acme) as connection:
            note = await add(connection, acme, "stays")
        with pytest.raises(UniqueViolation):
            await fail_in_part(several, acme, note)
        async with several.of(globex) as connection:
            await add(connection, globex, "stays too")
    assert (await titles(database, acme), await titles(database, globex)) == (["stays"], ["stays too"])


async def test_an_exception_undoes_every_part(database: Database, tenants: tuple[uuid.UUID, uuid.UUID]) -> None:
    async def stumble() -> None:
        async with database.tenants_transaction(REASON) as several:
            async with several.of(tenants[0]) as connection:
                await add(connection, tenants[0], "one")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stumble()
    assert await titles(database, tenants[0]) == []


async def test_a_connection_ends_with_its_part(database: Database, tenants: tuple[uuid.UUID, uuid.UUID]) -> None:
    async with database.tenants_transaction(REASON) as several:
        async with several.of(tenants[0]) as connection:
            with pytest.raises(InternalDatabaseError, match="open"):
                async with several.of(tenants[1]):
                    pass
        with pytest.raises(InternalDatabaseError, match="over"):
            await connection.fetch(COUNT)
        with pytest.raises(InternalDatabaseError, match="nil"):
            async with several.of(uuid.UUID(int=0)):
                pass
    with pytest.raises(InternalDatabaseError, match="reason"):
        database.tenants_transaction(" ")
