"""Every table of both services is under forced row-level security, in its declaration and in the real database."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import asyncpg
import pytest
from sqlalchemy import MetaData, Table, UniqueConstraint

from tenantmesh.auth_svc import tables as auth
from tenantmesh.auth_svc.api_keys.bootstrap import create_key, list_keys, revoke_key
from tenantmesh.runtime.row_security import Catalog, TenantOwned, declaration_of
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc import tables as tenant
from tests.architecture.test_layout import ROOT

SERVICES: dict[str, ModuleType] = {"tenant_svc": tenant, "auth_svc": auth}
METADATAS: tuple[MetaData, ...] = tuple(tables.metadata for tables in SERVICES.values())
EMPTY: set[tuple[str, ...]] = set()
TABLES: tuple[Table, ...] = tuple(table for metadata in METADATAS for table in metadata.tables.values())
GLOBAL_NAMES: dict[str, set[tuple[str, ...]]] = {
    "tenant.tenants": {("external_id",)},  # the operators' own id, in a system that knows all tenants
    "tenant.tenant_slugs": {("slug",)},  # a slug is one tenant's in the whole mesh
    "tenant.login_hosts": {("host",)},  # while it is proven, which one tenant at most has done
    "tenant.email_domains": {("domain",)},  # the same
    "tenant.tenant_requests": {("requester", "request_id")},  # an operator's request id, from before there is a tenant
}
"""Unique constraints without the tenant, which by their meaning span tenants."""
QUEUE = {f"jobs.pgqueuer{each}" for each in ("", "_log", "_schedules", "_statistics")}
"""The job queue's tables, which are its library's; who may do what there is in tests of the operations."""


@pytest.mark.parametrize("service", sorted(path.name for path in ROOT.glob("*_svc")))
def test_the_tables_of_every_capability_are_listed(service: str) -> None:
    """Migrations, `doctor` and this file know the tables by the list."""
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / service).glob("*/tables.py")}
    listed = {module.__name__.removeprefix("tenantmesh.") for module in SERVICES[service].MODULES}
    assert files, "tables are declared in tables.py of a capability"
    assert files <= listed, "add the module to MODULES of the service's tables.py"


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_every_table_is_declared(table: Table) -> None:
    declaration = declaration_of(table)
    assert isinstance(declaration, TenantOwned | Catalog), "declare it tenant_owned or catalog, beside the table"
    if isinstance(declaration, Catalog):
        assert len(declaration.reason) > 20, "a catalog says why it belongs to no tenant"


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_keys_of_tenant_owned_tables_begin_with_the_tenant(table: Table) -> None:
    if not isinstance(declaration_of(table), TenantOwned):
        assert "tenant_id" not in table.primary_key.columns or len(table.primary_key.columns) == 1
        return
    assert not table.c.tenant_id.nullable
    assert next(iter(table.primary_key.columns)).name == "tenant_id"
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            columns = tuple(column.name for column in constraint.columns)
            assert columns[0] == "tenant_id" or columns in GLOBAL_NAMES.get(str(table), EMPTY), columns
    for index in table.indexes:
        names = tuple(column.name for column in index.columns)
        assert not index.unique or "tenant_id" in names or names in GLOBAL_NAMES.get(str(table), EMPTY), names
    for key in table.foreign_key_constraints:
        assert key.column_keys[0] == "tenant_id", "a foreign key without the tenant looks past row-level security"


async def catalogue(postgres: Any, query: str) -> list[Any]:
    connection = await asyncpg.connect(postgres.admin_url.get_secret_value())
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def test_the_database_holds_no_table_without_it(postgres: Any) -> None:
    rows = await catalogue(
        postgres,
        """select n.nspname || '.' || c.relname as name, c.relrowsecurity, c.relforcerowsecurity,
                  (select count(*) from pg_policy p where p.polrelid = c.oid) as policies
           from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
             and n.nspname !~ '^pg_toast' and c.relname <> 'alembic_version'""",
    )
    assert {row["name"] for row in rows} == {str(table) for table in TABLES} | QUEUE, (
        "a table that no metadata declares"
    )
    for row in rows:
        assert row["relrowsecurity"], row["name"]
        assert row["relforcerowsecurity"], row["name"]
        assert row["policies"], row["name"]


async def test_no_role_of_ours_is_powerful(postgres: Any) -> None:
    rows = await catalogue(
        postgres,
        "select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolinherit, rolcanlogin from pg_roles "
        "where rolname ~ '^(tenant|auth)'",
    )
    named = {row["rolname"] for row in rows}
    assert named >= {"tenant_app", "auth_app", "tenant_directory", "auth_directory", "tenant_worker"}
    for row in rows:
        assert not any((row["rolsuper"], row["rolbypassrls"], row["rolcreaterole"], row["rolcreatedb"])), row["rolname"]
        assert not (row["rolname"].endswith("_owner") and row["rolcanlogin"])


async def test_no_dangerous_privilege_is_granted(postgres: Any) -> None:
    rows = await catalogue(
        postgres,
        """select grantee, table_schema || '.' || table_name as name, privilege_type
           from information_schema.role_table_grants
           where grantee ~ '^(tenant|auth)' and grantee !~ '_owner$'
             and privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')""",
    )
    assert not rows, [dict(row) for row in rows]


@pytest.mark.parametrize("role", ["tenant_app", "tenant_directory", "tenant_worker", "auth_app", "auth_directory"])
async def test_no_role_can_keep_anything_outside_of_tables(postgres: Any, role: str) -> None:
    connection = await asyncpg.connect(postgres.url(role).get_secret_value())
    try:
        for statement in ("select lo_create(0)", "create temp table t ()", "create table t ()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_revoked_key_stays_revoked(postgres: Any) -> None:
    directory = await asyncpg.connect(postgres.url("auth_directory").get_secret_value())
    try:
        settings = DatabaseSettings(url=postgres.url("auth_app"), system_url=postgres.url("auth_directory"))
        key = await create_key(settings, "revoked-for-good", "SERVICE", ("tenants.read",))
        made = next(each for each in await list_keys(settings) if each.name == "revoked-for-good")
        assert key.startswith("tmk_")
        assert await revoke_key(settings, made.id)
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="stays revoked"):
            await directory.execute("update auth.system_keys set revoke_time = null where revoke_time is not null")
    finally:
        await directory.close()
