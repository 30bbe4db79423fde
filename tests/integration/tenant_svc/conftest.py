"""tenant_svc on a real PostgreSQL: migrated schema, both doors, and the use cases on them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.deploy.embedded.valkey import Store
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tenants.tenant import NewTenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.serving import Service, running


@pytest.fixture(scope="session")
async def migrated(postgres: WorkerDatabase) -> WorkerDatabase:
    await migrations.upgrade("tenant_svc", postgres.url("tenantmesh_migrate"), "tenant_owner")
    return postgres


@pytest.fixture(scope="session")
async def database(migrated: WorkerDatabase) -> AsyncIterator[Database]:
    settings = DatabaseSettings(url=migrated.url("tenant_app"), system_url=migrated.url("tenant_directory"))
    database = Database(settings, schema="tenant")
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
def doors(database: Database) -> Doors:
    return Doors(database, OUTAGE)


@pytest.fixture(scope="session")
def tenants(doors: Doors) -> Tenants:
    return Tenants(doors, uuid7)


@pytest.fixture(scope="session")
async def service(migrated: WorkerDatabase, store: Store) -> AsyncIterator[Service]:
    async with running(migrated, store) as made:
        yield made


def unused_slug() -> str:
    """A slug that no other test has: tests share the database."""
    return f"t-{uuid.uuid4().hex[:20]}"


def new_tenant(slug: str | None = None) -> NewTenant:
    slug = slug or unused_slug()
    return NewTenant.checked(slug=slug, display_name=f"The {slug}", plan_id="premium")


async def as_superuser(database: WorkerDatabase, statement: str, *arguments: object) -> str:
    """Runs what no role of ours may; returns PostgreSQL's command tag."""
    connection = await connect(database.admin_url)
    try:
        return str(await connection.execute(statement, *arguments))
    finally:
        await connection.close()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns once it holds; fails after about five seconds."""
    for _ in range(1000):
        if await holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never became true")
