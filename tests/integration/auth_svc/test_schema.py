"""The schema: as declared, row by row closed to other tenants, and refused when it is not."""

from __future__ import annotations

import uuid

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from tenantmesh.auth_svc.accounts.tables import users
from tenantmesh.auth_svc.api_keys.tables import system_keys
from tenantmesh.auth_svc.gauges.tables import gauges
from tenantmesh.auth_svc.schema import metadata
from tenantmesh.auth_svc.sessions.tables import sessions
from tenantmesh.auth_svc.tenant_data.tables import purged_tenants
from tenantmesh.auth_svc.tokens.tables import signing_keys
from tenantmesh.runtime import row_security
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.row_security import InsecureDatabase
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import a_copy, as_role, as_superuser, database_settings

TENANT_TABLES = ("users", "sessions", "gauges")
MESH_TABLES = ("signing_keys", "system_keys")
ALL_OF = {
    "users": "SELECT * FROM auth.users",
    "sessions": "SELECT * FROM auth.sessions",
    "gauges": "SELECT * FROM auth.gauges",
    "signing_keys": "SELECT * FROM auth.signing_keys",
    "system_keys": "SELECT * FROM auth.system_keys",
}


def test_there_are_no_other_tables() -> None:
    assert set(metadata.tables.values()) == {users, sessions, gauges, signing_keys, system_keys, purged_tenants}


async def test_the_gate_finds_nothing_wrong(database: Database) -> None:
    await row_security.verify(database, metadata, package="tenantmesh.auth_svc")


def _of_this_service(name: str | None, kind: str, _parents: object) -> bool:
    return name == "auth" if kind == "schema" else name != "alembic_version"


async def test_the_migration_makes_the_tables_that_are_declared(postgres: WorkerDatabase) -> None:
    async def open_connection() -> object:
        return await connect(postgres.admin_url)

    def differences(connection: Connection) -> list[object]:
        options = {
            "compare_type": True,
            "include_schemas": True,
            "include_name": lambda name, kind, _parents: (
                name == "auth" if kind == "schema" else name != "alembic_version"
            ),
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    engine = create_async_engine("postgresql+asyncpg://", async_creator=open_connection, poolclass=NullPool)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


@pytest.mark.parametrize("table", [*TENANT_TABLES, *MESH_TABLES])
async def test_row_security_is_enabled_and_forced_on_every_table(postgres: WorkerDatabase, table: str) -> None:
    (row,) = await as_superuser(
        postgres,
        "SELECT relrowsecurity AS enabled, relforcerowsecurity AS forced FROM pg_class WHERE oid = $1::regclass",
        f"auth.{table}",
    )
    assert row == {"enabled": True, "forced": True}


@pytest.mark.parametrize(
    ("role", "tables"),
    [
        ("auth_app", MESH_TABLES),
        ("auth_directory", ("users", "sessions")),
        ("tenant_app", (*TENANT_TABLES, *MESH_TABLES)),
    ],
)
async def test_a_role_does_not_reach_what_is_not_its_own(
    postgres: WorkerDatabase, role: str, tables: tuple[str, ...]
) -> None:
    for table in tables:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(postgres, role, ALL_OF[table])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE auth.system_keys SET permissions = '{*}'",
        "UPDATE auth.system_keys SET secret_hash = ''",
        "DELETE FROM auth.system_keys",
        "UPDATE auth.signing_keys SET sealed_private_key = ''",
        "DELETE FROM auth.signing_keys",
        "TRUNCATE auth.signing_keys",
    ],
)
async def test_keys_are_added_and_revoked_never_changed(postgres: WorkerDatabase, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await as_role(postgres, "auth_directory", statement)


@pytest.mark.parametrize("table", TENANT_TABLES)
async def test_without_a_tenant_a_query_fails_instead_of_finding_nothing(postgres: WorkerDatabase, table: str) -> None:
    with pytest.raises(asyncpg.UndefinedObjectError):
        await as_role(postgres, "auth_app", ALL_OF[table])


async def test_a_stray_grant_on_the_keys_shows_nothing(postgres: WorkerDatabase) -> None:
    with a_copy(postgres) as broken:
        key = "INSERT INTO auth.system_keys VALUES ($1, 'ops', 'OPERATOR', '{*}', '', now())"
        await as_superuser(broken, key, uuid.uuid4())
        await as_superuser(broken, "GRANT SELECT ON auth.system_keys TO auth_app")
        assert await as_role(broken, "auth_app", ALL_OF["system_keys"]) == []
        assert len(await as_role(broken, "auth_directory", ALL_OF["system_keys"])) == 1


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("ALTER TABLE auth.users NO FORCE ROW LEVEL SECURITY", "users"),
        ("ALTER TABLE auth.sessions DISABLE ROW LEVEL SECURITY", "sessions"),
        ("ALTER TABLE auth.system_keys NO FORCE ROW LEVEL SECURITY", "system_keys"),
        ("ALTER TABLE auth.signing_keys DISABLE ROW LEVEL SECURITY", "signing_keys"),
        ("DROP POLICY tenant_floor ON auth.users", "users"),
        ("ALTER TABLE auth.gauges NO FORCE ROW LEVEL SECURITY", "gauges"),
        ("GRANT UPDATE ON auth.gauges TO auth_directory", "gauges"),
        ("CREATE POLICY more ON auth.sessions USING (true)", "sessions"),
        ("CREATE POLICY more ON auth.system_keys TO auth_app USING (true)", "system_keys"),
        ("GRANT SELECT ON auth.signing_keys TO auth_app", "signing_keys"),
        ("GRANT UPDATE ON auth.system_keys TO auth_directory", "system_keys"),
        ("UPDATE auth.alembic_version SET version_num = '0000'", "migration"),
    ],
)
async def test_the_gate_names_what_was_damaged(postgres: WorkerDatabase, damage: str, named: str) -> None:
    with a_copy(postgres) as broken:
        await as_superuser(broken, damage)
        database = Database(database_settings(broken), schema="auth")
        with pytest.raises(InsecureDatabase) as refused:
            await row_security.verify(database, metadata, package="tenantmesh.auth_svc")
        await database.close()
    assert any(named in problem for problem in refused.value.problems)


USER = "INSERT INTO auth.users VALUES ($1, $1, {email}, {email_normalised}, {display_name}, 'x', '{{}}', 0, now())"
KEY = "INSERT INTO auth.system_keys VALUES ($1, {name}, 'OPERATOR', '{{}}', 'x', now(), {expire_time})"
SESSION = "INSERT INTO auth.sessions VALUES ($1, $1, $1, 'x', '{{}}', {begin_time}, {use_time}, {expire_time}, now())"
SOUND = {
    "email": "'a@b.example'", "email_normalised": "'a@b.example'", "display_name": "'A'", "name": "'ops'",
    "begin_time": "now()", "use_time": "now()", "expire_time": "now() + interval '1 day'",
}  # fmt: skip


@pytest.mark.parametrize(
    ("statement", "field", "value", "constraint"),
    [
        (USER, "email", "''", "users_email_check"),
        (USER, "email", "repeat('x', 255)", "users_email_check"),
        (USER, "email_normalised", "''", "users_email_normalised_check"),
        (USER, "email_normalised", "repeat('é', 128)", "users_email_normalised_check"),
        (USER, "display_name", "''", "users_display_name_check"),
        (USER, "display_name", "repeat('x', 255)", "users_display_name_check"),
        (KEY, "name", "'x'", "system_keys_name_check"),
        (KEY, "name", "repeat('x', 64)", "system_keys_name_check"),
        (KEY, "expire_time", "now()", "system_keys_lifetime_check"),
        (KEY, "expire_time", "'infinity'", "system_keys_expire_time_check"),
        (SESSION, "begin_time", "'-infinity'", "sessions_begin_time_check"),
        (SESSION, "use_time", "'infinity'", "sessions_use_time_check"),
        (SESSION, "expire_time", "'infinity'", "sessions_expire_time_check"),
    ],
)
async def test_what_the_rules_refuse_the_tables_refuse(
    postgres: WorkerDatabase, statement: str, field: str, value: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await as_superuser(postgres, statement.format(**{**SOUND, field: value}), uuid.uuid4())
    assert caught.value.constraint_name == constraint
