"""tenant_svc on a real PostgreSQL: migrated schema, both doors, and the use cases on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.history.history import record_first_plan
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.catalog import feature, features, plans
from tests.integration.tenant_svc.entitled import (
    acme,
    checks,
    entitlements,
    globex,
    grants,
    history,
    overrides,
    pool,
    rows,
)
from tests.integration.tenant_svc.metering import allocations, allowances, gauges, ledger
from tests.integration.tenant_svc.serving import Service, running
from tests.integration.tenant_svc.world import World

__all__ = [
    "acme", "allocations", "allowances", "checks", "entitlements", "feature", "features", "gauges", "globex", "grants",
    "history", "ledger", "overrides", "plans", "pool", "rows",
]  # fmt: skip


@pytest.fixture(scope="session")
async def migrated(postgres: WorkerDatabase) -> WorkerDatabase:
    await migrations.upgrade("tenantmesh.tenant_svc", postgres.url("tenantmesh_migrate"), "tenant_owner")
    return postgres


@pytest.fixture(scope="session")
async def database(migrated: WorkerDatabase) -> AsyncIterator[Database]:
    urls = {"url": migrated.url("tenant_app"), "system_url": migrated.url("tenant_directory")}
    # Patient: fifty calls at once wait their turn on a loaded machine too.
    settings = DatabaseSettings.model_validate({**urls, "acquire_timeout": "60s"})
    database = Database(settings, schema="tenant")
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
def doors(database: Database) -> Doors:
    return Doors(database, OUTAGE)


@pytest.fixture(scope="session")
def tenants(doors: Doors) -> Tenants:
    return Tenants(doors, uuid7, record_first_plan, LifeSettings())


@pytest.fixture(scope="session")
def lists(doors: Doors) -> TenantLists:
    return TenantLists(doors)


@pytest.fixture(scope="module")
async def service(migrated: WorkerDatabase, store: Store) -> AsyncIterator[Service]:
    """One for each module: its loops work by the real clock, and end what others reserve in the past."""
    async with running(migrated, store) as made:
        yield made


@pytest.fixture(scope="session")
def world(migrated: WorkerDatabase, doors: Doors, tenants: Tenants) -> World:
    return World(migrated, doors, tenants)


@pytest.fixture(scope="session")
def executor(doors: Doors) -> PlanChangeExecutor:
    return PlanChangeExecutor(doors)


@pytest.fixture
def operations(doors: Doors) -> Operations:
    return Operations(doors, Endings(), poll_interval=timedelta(milliseconds=50))
