"""Tenants that were suspended before their rows said why: the events that are kept still know it."""

from __future__ import annotations

from pathlib import Path

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tenants import repository
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.earlier import empty_database, migrations_through, tenant_of_before

LAST_BEFORE = "0014"


async def test_a_tenant_that_was_suspended_before_keeps_its_reason(postgres: WorkerDatabase, tmp_path: Path) -> None:
    with empty_database(postgres) as own, migrations_through(LAST_BEFORE, tmp_path) as before:
        await migrations.upgrade(before, own.url("tenantmesh_migrate"), "tenant_owner")
        suspended = await tenant_of_before(own, "SUSPENDED", "unpaid since March")
        served = await tenant_of_before(own)
        await migrations.upgrade("tenantmesh.tenant_svc", own.url("tenantmesh_migrate"), "tenant_owner")
        database = Database(DatabaseSettings(url=own.url("tenant_app")), schema="tenant")
        await database.open()
        doors = Doors(database, OUTAGE)
        found = [await repository.get(doors, TenantId(tenant_id)) for tenant_id in (suspended, served)]
        await database.close()
    known = [tenant.suspension and (tenant.suspension.reason, tenant.suspension.actor) for tenant in found if tenant]
    assert known == [("unpaid since March", ""), None]
