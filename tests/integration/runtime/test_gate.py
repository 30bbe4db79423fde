"""The boot gate and the migrations, on a real PostgreSQL. Each defect is made by hand, found, and undone."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import Column, MetaData, Table, Text

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database, InternalDatabaseError
from tenantmesh.runtime.migrations import Revisions
from tenantmesh.runtime.row_security import InsecureDatabase, verify
from tenantmesh.runtime.row_security.declaration import predicate
from tests.integration.runtime.conftest import PACKAGE, WORKER, DemoDatabase
from tests.integration.runtime.demo_service.tables import METADATA

OWNER = "tenant_owner"
OPENED = """
DROP POLICY cross_tenant_tenant_directory_select ON tenant.notes;
CREATE POLICY cross_tenant_tenant_directory_select ON tenant.notes FOR {commands} TO tenant_directory USING (true)
"""


@pytest.fixture(scope="module")
async def spoilt(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DemoDatabase]:
    """A database whose safety the tests may take away, on a server of its own: a role is the same in every database."""
    with Engines(tmp_path_factory.mktemp("gate") / "state", durable=False, temporary=True) as engines:
        database = DemoDatabase(engines, f"gate_{WORKER}")
        engines.postgres.install(database.name)
        await migrations.upgrade(PACKAGE, database.url("tenantmesh_migrate"), OWNER)
        yield database


async def problems(demo: DemoDatabase, **changes: object) -> list[str]:
    database = Database(demo.settings(**changes), schema="tenant")
    try:
        await verify(database, METADATA, package=PACKAGE)
    except InsecureDatabase as insecure:
        return insecure.problems
    finally:
        await database.close()
    return []


async def test_a_migrated_database_passes(spoilt: DemoDatabase) -> None:
    assert await problems(spoilt) == []


@pytest.mark.parametrize(
    ("spoil", "undo", "named"),
    [
        ("ALTER TABLE tenant.notes DISABLE ROW LEVEL SECURITY", "ENABLE", "not enabled and forced"),
        ("ALTER TABLE tenant.notes NO FORCE ROW LEVEL SECURITY", "FORCE", "not enabled and forced"),
        (
            "CREATE POLICY open ON tenant.notes FOR SELECT TO tenant_app USING (true)",
            "DROP POLICY open ON tenant.notes",
            "policy open is not declared",
        ),
        (
            "ALTER POLICY tenant_rows ON tenant.notes USING (true)",
            f"ALTER POLICY tenant_rows ON tenant.notes USING ({predicate('tenant_id')})",
            "policy tenant_rows is not as declared",
        ),
        (
            "ALTER POLICY tenant_floor ON tenant.notes RENAME TO floor",
            "ALTER POLICY floor ON tenant.notes RENAME TO tenant_floor",
            "policy tenant_floor is missing",
        ),
        ("GRANT TRUNCATE ON tenant.notes TO tenant_app", "REVOKE TRUNCATE ON tenant.notes FROM tenant_app", "TRUNCATE"),
        ("GRANT SELECT ON tenant.notes TO PUBLIC", "REVOKE SELECT ON tenant.notes FROM PUBLIC", "PUBLIC may SELECT"),
        (
            "GRANT UPDATE (title) ON tenant.notes TO tenant_directory",
            "REVOKE UPDATE (title) ON tenant.notes FROM tenant_directory",
            "notes.title: tenant_directory may UPDATE",
        ),
        ("REVOKE INSERT ON tenant.notes FROM tenant_app", "GRANT INSERT ON tenant.notes TO tenant_app", "lacks INSERT"),
        ("CREATE VIEW tenant.peek AS SELECT * FROM tenant.notes", "DROP VIEW tenant.peek", "peek"),
        (
            "CREATE MATERIALIZED VIEW tenant.peek AS SELECT * FROM tenant.notes",
            "DROP MATERIALIZED VIEW tenant.peek",
            "peek",
        ),
        ("CREATE TABLE tenant.stray (id int)", "DROP TABLE tenant.stray", "stray: no table of that name is declared"),
        ("CREATE UNIQUE INDEX oracle ON tenant.notes (title)", "DROP INDEX tenant.oracle", "unique oracle lacks"),
        (
            "CREATE FUNCTION tenant.peek() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "DROP FUNCTION tenant.peek()",
            "SECURITY DEFINER",
        ),
        (
            "ALTER FUNCTION tenant.shout() RESET search_path",
            "ALTER FUNCTION tenant.shout() SET search_path = pg_catalog, pg_temp",
            "function shout looks for names in its caller's search_path",
        ),
        (
            "ALTER FUNCTION tenant.shout() SET search_path = tenant",
            "ALTER FUNCTION tenant.shout() SET search_path = pg_catalog, pg_temp",
            "function shout looks for names in its caller's search_path",
        ),
        (
            OPENED.format(commands="ALL"),
            OPENED.format(commands="SELECT"),
            "policy cross_tenant_tenant_directory_select is not as declared",
        ),
        (
            "ALTER TABLE tenant.alembic_version DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE tenant.alembic_version ENABLE ROW LEVEL SECURITY",
            "alembic_version: row-level security is not enabled",
        ),
        ("ALTER ROLE tenant_app BYPASSRLS", "ALTER ROLE tenant_app NOBYPASSRLS", "has BYPASSRLS"),
        ("ALTER ROLE tenant_directory CREATEDB", "ALTER ROLE tenant_directory NOCREATEDB", "system door's role"),
        ("GRANT tenant_owner TO tenant_app", "REVOKE tenant_owner FROM tenant_app", "member of another role"),
        ("GRANT CREATE ON SCHEMA tenant TO tenant_app", "REVOKE CREATE ON SCHEMA tenant FROM tenant_app", "may create"),
        (
            "UPDATE tenant.alembic_version SET version_num = '0000'",
            "UPDATE tenant.alembic_version SET version_num = '0001'",
            "tenantmesh migrate",
        ),
        ("ALTER TABLE tenant.colours RENAME TO colors", "ALTER TABLE tenant.colors RENAME TO colours", "is missing"),
    ],
)
async def test_the_gate_names_each_defect(spoilt: DemoDatabase, spoil: str, undo: str, named: str) -> None:
    await spoilt.as_superuser(spoil)
    found = await problems(spoilt)
    if undo in {"ENABLE", "FORCE"}:
        undo = f"ALTER TABLE tenant.notes {undo} ROW LEVEL SECURITY"
    await spoilt.as_superuser(undo)
    assert any(named in problem for problem in found), found
    assert await problems(spoilt) == []


async def test_a_stray_grant_to_a_role_that_sees_all_tenants_reaches_no_row(spoilt: DemoDatabase) -> None:
    await spoilt.as_superuser("GRANT UPDATE, DELETE ON tenant.notes TO tenant_directory")
    connection = await asyncpg.connect(spoilt.url("tenant_directory").get_secret_value())
    try:
        await spoilt.as_superuser(
            f"INSERT INTO tenant.notes (tenant_id, id, title) VALUES ('{uuid.uuid4()}', '{uuid.uuid4()}', 'x')"
        )
        assert await connection.fetchval("SELECT count(*) FROM tenant.notes") > 0
        assert await connection.execute("UPDATE tenant.notes SET title = 'x'") == "UPDATE 0"
        assert await connection.execute("DELETE FROM tenant.notes") == "DELETE 0"
    finally:
        await connection.close()
        await spoilt.as_superuser(
            "DELETE FROM tenant.notes; REVOKE UPDATE, DELETE ON tenant.notes FROM tenant_directory"
        )


async def test_a_superuser_does_not_get_through_either_door(spoilt: DemoDatabase) -> None:
    assert any("superuser" in problem for problem in await problems(spoilt, url=spoilt.url("postgres")))
    assert any("superuser" in problem for problem in await problems(spoilt, system_url=spoilt.url("postgres")))


async def test_an_undeclared_table_is_a_programming_error(spoilt: DemoDatabase) -> None:
    database = Database(spoilt.settings(), schema="tenant")
    undeclared = MetaData(schema="tenant")
    Table("bare", undeclared, Column("a", Text))
    with pytest.raises(ValueError, match="declares no row-level security"):
        await verify(database, undeclared, package=PACKAGE)


async def test_a_schema_that_does_not_exist_is_named(spoilt: DemoDatabase) -> None:
    database = Database(spoilt.settings(), schema="nowhere")
    with pytest.raises(InternalDatabaseError, match=r"no schema 'nowhere'.*migrate"):
        await verify(database, METADATA, package=PACKAGE)
    await database.close()


async def test_migrating_in_parallel_and_again_changes_nothing_twice(engines: Engines) -> None:
    database = DemoDatabase(engines, f"migrate_{WORKER}")
    engines.postgres.install(database.name)
    url = database.url("tenantmesh_migrate")
    assert await migrations.current_and_head(PACKAGE, url, OWNER) == Revisions(None, "0001")
    done = await asyncio.gather(*(migrations.upgrade(PACKAGE, url, OWNER) for _ in range(4)))
    assert sorted(revisions.current or "" for revisions in done) == ["", "0001", "0001", "0001"]
    assert not (await migrations.current_and_head(PACKAGE, url, OWNER)).pending
    assert await problems(database) == []
    engines.postgres.drop(database.name)


async def test_everything_a_migration_makes_belongs_to_the_owner(spoilt: DemoDatabase) -> None:
    connection = await asyncpg.connect(spoilt.url("postgres").get_secret_value())
    owners = await connection.fetch(
        "SELECT DISTINCT relowner::regrole::text AS owner FROM pg_class WHERE relnamespace = 'tenant'::regnamespace"
    )
    await connection.close()
    assert [row["owner"] for row in owners] == [OWNER]


@pytest.mark.parametrize("owner", ["tenant", "postgres", 'x"; DROP SCHEMA tenant; --_owner'])
async def test_an_owner_is_called_so(owner: str) -> None:
    with pytest.raises(ValueError, match="owner role"):
        migrations.schema_of(owner)
