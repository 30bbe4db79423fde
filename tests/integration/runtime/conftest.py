"""A database for the demo service, apart from the one that the services' own tests share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from tenantmesh.deploy.stack.engines.engines import Engines
from tenantmesh.runtime import migrations
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.settings import DatabaseSettings

PACKAGE = "tests.integration.runtime.demo_service"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@dataclass(frozen=True, slots=True)
class DemoDatabase:
    """A database with the demo service's tables."""

    engines: Engines
    name: str

    def url(self, role: str) -> SecretStr:
        return self.engines.postgres.url(role, self.name)

    def settings(self, **changes: object) -> DatabaseSettings:
        urls = {"url": self.url("tenant_app"), "system_url": self.url("tenant_directory")}
        return DatabaseSettings.model_validate({**urls, **changes})

    async def as_superuser(self, *statements: str) -> None:
        """Do what no role of ours may."""
        connection = await connect(self.url("postgres"))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


OpenDatabase = Callable[..., Awaitable[Database]]


@pytest.fixture(scope="session")
async def demo(engines: Engines) -> DemoDatabase:
    database = DemoDatabase(engines, f"runtime_{WORKER}")
    engines.postgres.install(database.name)
    await migrations.upgrade(PACKAGE, database.url("tenantmesh_migrate"), "tenant_owner")
    return database


@pytest.fixture
async def open_database(demo: DemoDatabase) -> AsyncIterator[OpenDatabase]:
    """Opens databases with settings of the test's choice, and closes them."""
    opened: list[Database] = []

    async def open_one(**changes: object) -> Database:
        database = Database(demo.settings(**changes), schema="tenant")
        opened.append(database)
        await database.open()
        return database

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database(pool_size=4)


@pytest.fixture
def own_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """A PostgreSQL and a Valkey that the test may stop and kill."""
    with Engines(tmp_path_factory.mktemp("engines"), durable=False, temporary=True) as engines:
        yield engines
