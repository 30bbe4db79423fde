"""The number of users of a tenant: exact, in the transaction that adds one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import pytest

from tenantmesh.auth_svc.accounts.accounts import Accounts
from tenantmesh.auth_svc.gauges import repository as gauges
from tenantmesh.auth_svc.gauges.gauge import USERS, GaugeLevel
from tenantmesh.auth_svc.schema import OUTAGE, metadata
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.runtime import migrations, row_security
from tenantmesh.runtime.database import Connection, Statement
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import a_copy, as_role, as_superuser
from tests.integration.auth_svc.people import add, opened, register, registering
from tests.integration.auth_svc.stand_in import new_tenant


@pytest.fixture(scope="module")
async def accounts(postgres: WorkerDatabase) -> AsyncIterator[Accounts]:
    async with opened(postgres) as database, registering(database) as accounts:
        yield accounts


async def counted(postgres: WorkerDatabase, tenant: TenantRecord) -> tuple[int, int]:
    """The level, and how many users there are."""
    (row,) = await as_superuser(
        postgres,
        "SELECT coalesce((SELECT level FROM auth.gauges WHERE tenant_id = $1 AND gauge = 'users'), 0) AS level,"
        " (SELECT count(*) FROM auth.users WHERE tenant_id = $1) AS users",
        tenant.id,
    )
    return row["level"], row["users"]


async def test_of_fifty_at_once_exactly_the_rest_gets_in_and_another_tenant_is_not_concerned(
    accounts: Accounts, postgres: WorkerDatabase
) -> None:
    here, there = new_tenant(), new_tenant()
    for n in range(93):
        assert await add(accounts, here, f"early{n}@example.com", 100)
    crowd = [add(accounts, here, f"late{n}@example.com", 100) for n in range(50)]
    others = [add(accounts, there, f"late{n}@example.com", None) for n in range(20)]
    admitted = await asyncio.gather(*crowd, *others)
    assert sum(admitted[:50]) == 7
    assert all(admitted[50:])
    assert await counted(postgres, here) == (100, 100)
    assert await counted(postgres, there) == (20, 20)


async def test_known_addresses_count_once_however_many_register_them_at_once(
    accounts: Accounts, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    emails = [f"person{n % 5}@example.com" for n in range(50)]
    assert all(await asyncio.gather(*(add(accounts, tenant, email, 6) for email in emails)))
    assert await counted(postgres, tenant) == (5, 5)


async def test_a_full_tenant_takes_neither_known_nor_unknown_addresses(
    accounts: Accounts, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    assert await add(accounts, tenant, "alice@example.com", 1)
    for email in ("alice@example.com", "bob@example.com"):
        with pytest.raises(ResourceExhausted) as full:
            await register(accounts, tenant, email, 1)
        assert (full.value.metadata["level"], full.value.metadata["limit"]) == ("1", "1")
    assert await counted(postgres, tenant) == (1, 1)


async def test_a_known_address_costs_the_statements_of_an_unknown_one_and_changes_nothing(
    accounts: Accounts, tenant: TenantRecord, postgres: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that neither the time nor a report tells of it."""
    ran: list[str] = []

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        async def run(connection: Connection, statement: Statement, /, **parameters: Any) -> Any:
            ran.append(statement.sql)
            return await method(connection, statement, **parameters)

        return run

    for name in ("fetch", "fetch_row", "execute"):
        monkeypatch.setattr(Connection, name, noting(getattr(Connection, name)))
    await add(accounts, tenant, "alice@example.com", None)
    unknown, (before,) = ran.copy(), await gauge_row(postgres, tenant)
    ran.clear()
    await add(accounts, tenant, "alice@example.com", None)
    (after,) = await gauge_row(postgres, tenant)
    assert ran == unknown
    assert after == before


async def gauge_row(postgres: WorkerDatabase, tenant: TenantRecord) -> list[dict[str, Any]]:
    return await as_superuser(postgres, "SELECT * FROM auth.gauges WHERE tenant_id = $1", tenant.id)


async def test_a_limit_below_the_level_takes_nobody_and_a_higher_one_does(
    accounts: Accounts, tenant: TenantRecord, postgres: WorkerDatabase
) -> None:
    for n in range(3):
        assert await add(accounts, tenant, f"{n}@example.com", None)
    assert not await add(accounts, tenant, "more@example.com", 2)
    assert not await add(accounts, tenant, "more@example.com", 3)
    assert await add(accounts, tenant, "more@example.com", 4)
    assert await counted(postgres, tenant) == (4, 4)


_REFUSE = "CREATE FUNCTION auth.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$"


@pytest.mark.parametrize(
    "trigger",
    [
        "CREATE TRIGGER fail AFTER INSERT ON auth.users FOR EACH ROW EXECUTE FUNCTION auth.fail()",
        (
            "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON auth.users DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION auth.fail()"
        ),
        (
            "CREATE TRIGGER fail BEFORE UPDATE ON auth.gauges"
            " FOR EACH ROW WHEN (new.level > old.level) EXECUTE FUNCTION auth.fail()"
        ),
    ],
    ids=["at the row", "at the commit", "at the level"],
)
async def test_a_registration_that_fails_leaves_neither_user_nor_level(postgres: WorkerDatabase, trigger: str) -> None:
    tenant = new_tenant()
    with a_copy(postgres) as own:
        async with opened(own) as database, registering(database) as accounts:
            assert await add(accounts, tenant, "first@example.com", 2)
            for statement in (_REFUSE, "GRANT EXECUTE ON FUNCTION auth.fail() TO auth_app", trigger):
                await as_superuser(own, statement)
            for _ in range(3):
                with pytest.raises(Exception, match="refused the statement"):
                    await register(accounts, tenant, "second@example.com", 2)
            assert await counted(own, tenant) == (1, 1)
            await as_superuser(own, "DROP FUNCTION auth.fail() CASCADE")
            assert await add(accounts, tenant, "second@example.com", 2)
            assert await counted(own, tenant) == (2, 2)


async def test_a_tenants_levels_are_its_own(accounts: Accounts, postgres: WorkerDatabase) -> None:
    here, there = new_tenant(), new_tenant()
    for tenant in (here, there):
        await add(accounts, tenant, "alice@example.com", None)
    for statement in ("SELECT tenant_id FROM auth.gauges", "UPDATE auth.gauges SET level = 0 RETURNING tenant_id"):
        rows = await as_role(postgres, "auth_app", statement, tenant=here)
        assert [row["tenant_id"] for row in rows] == [here.id]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_role(
            postgres,
            "auth_app",
            "INSERT INTO auth.gauges VALUES ($1, 'storage', 0, 0, 0)",
            there.id,
            tenant=here,
        )


async def test_the_migration_counts_those_who_are_there(postgres: WorkerDatabase) -> None:
    here, there = new_tenant(), new_tenant()
    with a_copy(postgres) as own:
        async with opened(own) as database, registering(database) as accounts:
            for tenant, count in ((here, 3), (there, 1)):
                for n in range(count):
                    await add(accounts, tenant, f"{n}@example.com", None)
            for statement in (
                "DROP TABLE auth.gauges",
                "DROP TABLE auth.purged_tenants CASCADE",
                "ALTER TABLE auth.system_keys DROP CONSTRAINT system_keys_expire_time_check",
                "ALTER TABLE auth.system_keys DROP COLUMN meters, DROP COLUMN gauges",
                "UPDATE auth.alembic_version SET version_num = '0002'",
            ):
                await as_superuser(own, statement)
            await migrations.upgrade("tenantmesh.auth_svc", own.url("tenantmesh_migrate"), "auth_owner")
            await row_security.verify(database, metadata, package="tenantmesh.auth_svc")
            levels = await unreported(Doors(database, OUTAGE), None, 10)
    found = {each.tenant_id: (each.gauge, each.level, each.version) for each in levels}
    assert found == {here.id: (USERS, 3, 1), there.id: (USERS, 1, 1)}


async def test_what_is_unreported_comes_in_order_and_once(postgres: WorkerDatabase) -> None:
    with a_copy(postgres) as own:
        async with opened(own) as database, registering(database) as accounts:
            doors = Doors(database, OUTAGE)
            tenants = sorted((new_tenant() for _ in range(5)), key=lambda tenant: tenant.id)
            for tenant in tenants:
                await add(accounts, tenant, "alice@example.com", None)
            first = await unreported(doors, None, 3)
            rest = await unreported(doors, first[-1], 3)
            assert [each.tenant_id for each in (*first, *rest)] == [tenant.id for tenant in tenants]
            await add(accounts, tenants[0], "bob@example.com", None)
            for level in (*first, *rest):
                await mark_reported(doors, level)
            (changed,) = await unreported(doors, None, 10)
            assert (changed.tenant_id, changed.level, changed.version) == (tenants[0].id, 2, 2)
            await mark_reported(doors, changed)
            await mark_reported(doors, first[0])  # late, and older than what is known
            assert await unreported(doors, None, 10) == []


async def unreported(doors: Doors, after: GaugeLevel | None, count: int) -> list[GaugeLevel]:
    async with doors.system("a test looks", read_only=True) as connection:
        return await gauges.unreported(connection, after, count)


async def mark_reported(doors: Doors, level: GaugeLevel) -> None:
    async with doors.tenant(level.tenant_id) as connection:
        await gauges.mark_reported(connection, level)
