"""A database of before: policies for every command, functions without a search_path, events without numbers."""

from __future__ import annotations

from pathlib import Path

from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.row_security import InsecureDatabase, verify
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.tables import metadata
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.earlier import empty_database, migrations_through, tenant_of_before
from tests.integration.tenant_svc.stage import as_superuser

LAST_BEFORE = "0016"
BROAD = """
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT tablename, roles[1] AS role, array_agg(policyname::text) AS policies FROM pg_policies
        WHERE schemaname = 'tenant' AND starts_with(policyname, 'cross_tenant_') GROUP BY 1, 2
    LOOP
        FOR i IN 1 .. array_length(found.policies, 1) LOOP
            EXECUTE format('DROP POLICY %I ON tenant.%I', found.policies[i], found.tablename);
        END LOOP;
        EXECUTE format('CREATE POLICY %I ON tenant.%I FOR ALL TO %I USING (true) WITH CHECK (true)',
            'cross_tenant_' || found.role, found.tablename, found.role);
    END LOOP;
END
$$
"""
"""Policies as versions of before made them."""
OPEN_TO_ALL = (
    "select count(*) from pg_policies where schemaname in ('tenant', 'jobs') and cmd = 'ALL' and qual = 'true'"
)
EVENT = """insert into tenant.entitlement_events
    (tenant_id, position, type, feature_id, actor, reason, before, after, plan_id, plan_version, create_time)
    values ($1, nextval('tenant.tenant_event_positions'), 'OVERRIDE_SET', 'users', '', '', '', '', 'premium', 1,
    now())"""
CATALOG_EVENT = """insert into tenant.catalog_events (position, feature_id, actor, before, after, create_time)
    values (nextval('tenant.tenant_event_positions'), 'users', '', '', '', now())"""


async def numbers(database: WorkerDatabase, statement: str, *arguments: object) -> list[int]:
    """The first column of the rows, as the superuser reads them."""
    connection = await connect(database.admin_url)
    try:
        return [int(row[0]) for row in await connection.fetch(statement, *arguments)]
    finally:
        await connection.close()


async def test_the_upgrade_narrows_fixes_and_numbers(postgres: WorkerDatabase, tmp_path: Path) -> None:
    with empty_database(postgres) as own, migrations_through(LAST_BEFORE, tmp_path) as before:
        await migrations.upgrade(before, own.url("tenantmesh_migrate"), "tenant_owner")
        await as_superuser(own, BROAD)
        tenants = [await tenant_of_before(own) for _ in range(2)]
        for tenant in (*tenants, *tenants, tenants[0]):
            await as_superuser(own, EVENT, tenant)
            await as_superuser(own, CATALOG_EVENT)
        assert (await numbers(own, OPEN_TO_ALL))[0] > 25

        await migrations.upgrade("tenantmesh.tenant_svc", own.url("tenantmesh_migrate"), "tenant_owner")
        assert await numbers(own, OPEN_TO_ALL) == [0]
        # A process of before goes on writing without numbers.
        await as_superuser(own, EVENT, tenants[1])
        await as_superuser(own, CATALOG_EVENT)
        of_tenant = "select number from tenant.entitlement_events where tenant_id = $1 order by position"
        assert [await numbers(own, of_tenant, tenant) for tenant in tenants] == [[1, 2, 3], [1, 2, 3]]
        assert await numbers(own, "select number from tenant.catalog_events order by position") == [*range(1, 7)]
        await verified(own)


async def verified(own: WorkerDatabase) -> None:
    settings = DatabaseSettings(url=own.url("tenant_app"), system_url=own.url("tenant_directory"))
    database = Database(settings, schema="tenant")
    await database.open()
    try:
        await verify(database, metadata, package="tenantmesh.tenant_svc")
    finally:
        await database.close()


async def problems(own: WorkerDatabase) -> list[str]:
    try:
        await verified(own)
    except InsecureDatabase as insecure:
        return insecure.problems
    return []


async def test_the_gate_looks_at_the_job_queues_schema_too(postgres: WorkerDatabase, tmp_path: Path) -> None:
    damages = {
        "ALTER FUNCTION jobs.fn_pgqueuer_changed() RESET search_path": "fn_pgqueuer_changed looks for names",
        "ALTER TABLE jobs.pgqueuer_log NO FORCE ROW LEVEL SECURITY": "jobs.pgqueuer_log: row-level security",
        "GRANT SELECT ON jobs.pgqueuer TO tenant_app": "tenant_app may SELECT, which nobody declared",
        "ALTER POLICY own_jobs ON jobs.pgqueuer WITH CHECK (true)": "policy own_jobs is not as declared",
        "CREATE POLICY more ON jobs.pgqueuer TO tenant_app USING (true)": "policy more is not declared",
    }
    with empty_database(postgres) as own:
        await migrations.upgrade("tenantmesh.tenant_svc", own.url("tenantmesh_migrate"), "tenant_owner")
        assert await problems(own) == []
        for damage in damages:
            await as_superuser(own, damage)
        found = await problems(own)
    assert all(any(named in problem for problem in found) for named in damages.values()), found
