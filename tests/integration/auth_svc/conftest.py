"""auth_svc on a real PostgreSQL and Valkey: its stores, and the whole service behind its own chain."""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from tenantmesh.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceStub
from tenantmesh.auth_svc.api_keys.bootstrap import create_key
from tenantmesh.auth_svc.app import build
from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.auth_svc.settings import AuthSettings, ErasureSettings, SigningSettings
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.settings import MeshSettings
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.bounded_lines import BoundedLines
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.interceptors.logs import bound_security_events
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.runtime.server import make_server
from tenantmesh.runtime.settings import DatabaseSettings, RedisSettings, ServerSettings, TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.doors import CountingDoors
from tests.integration.auth_svc.stand_in import StandIn, StandInQuotas, StandInTenants, new_tenant, stand_in
from tests.integration.auth_svc.world import World, running
from tests.ports import free_port

ISSUER = "http://issuer.test"
KEK_BYTES = bytes(range(32))


def database_settings(postgres: WorkerDatabase) -> DatabaseSettings:
    return DatabaseSettings(url=postgres.url("auth_app"), system_url=postgres.url("auth_directory"))


@pytest.fixture(scope="session")
async def database(postgres: WorkerDatabase) -> AsyncIterator[Database]:
    database = Database(database_settings(postgres), schema="auth")
    await database.open()
    yield database
    await database.close()


@pytest.fixture(scope="session")
def doors(database: Database) -> Doors:
    return Doors(database, OUTAGE)


@pytest.fixture(scope="session")
def kek() -> KeyEncryptionKey:
    return KeyEncryptionKey(KEK_BYTES)


@pytest.fixture(autouse=True)
def own_lines() -> None:
    """Each test has the lines of security events to itself: a process writes ten alike in half a minute."""
    bound_security_events(BoundedLines())


@pytest.fixture
async def world(database: Database, kek: KeyEncryptionKey) -> AsyncIterator[World]:
    async with running(World(CountingDoors(database), kek)) as world:
        yield world


@pytest.fixture
def tenant() -> TenantRecord:
    return new_tenant()


async def as_superuser(postgres: WorkerDatabase, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """Runs what no role of ours may."""
    return await as_role(postgres, "postgres", statement, *arguments, url=postgres.admin_url)


async def as_role(
    postgres: WorkerDatabase,
    role: str,
    statement: str,
    *arguments: object,
    url: SecretStr | None = None,
    tenant: TenantRecord | None = None,
) -> list[dict[str, Any]]:
    connection = await connect(url or postgres.url(role))
    try:
        if tenant is not None:
            await connection.execute(f"SET app.tenant_id = '{tenant.id}'")
        return [dict(row) for row in await connection.fetch(statement, *arguments)]
    finally:
        await connection.close()


@contextmanager
def a_copy(postgres: WorkerDatabase) -> Iterator[WorkerDatabase]:
    """A freshly migrated database of one's own, to damage or to start from nothing."""
    name = f"copy_{uuid.uuid4().hex[:12]}"
    postgres.engines.postgres.clone(name)
    try:
        yield WorkerDatabase(postgres.engines, name)
    finally:
        postgres.engines.postgres.drop(name)


@dataclass
class Service:
    """A running auth_svc."""

    target: str
    tenant_svc: StandIn
    operator_key: str
    service_key: str

    @property
    def tenants(self) -> StandInTenants:
        return self.tenant_svc.tenants

    @property
    def quotas(self) -> StandInQuotas:
        return self.tenant_svc.quotas

    def channel(self, credential: str | None = None, tenant: TenantRecord | None = None) -> grpc.aio.Channel:
        return channel(self.target, credential=Credential(credential) if credential else None)

    async def call(
        self, method: str, request: Any, *, tenant: TenantRecord | None = None, credential: str | None = None
    ) -> Any:
        """Calls a method of either service over a connection of its own."""
        metadata = [("x-tenant-slug", tenant.slug)] if tenant else []
        async with self.channel(credential) as connection:
            stub: Any = AuthServiceStub(connection)
            if not hasattr(stub, method):
                stub = TokenServiceStub(connection)
            return await getattr(stub, method)(request, metadata=metadata, timeout=10)


QUICK = "credential=1000/100"
"""Every test signs in from one address, and is a new one to the store, which is new itself."""


def service_settings(postgres: WorkerDatabase, store: Store, kek_file: Path, tenant_target: str) -> AuthSettings:
    return AuthSettings(
        mode="development",
        database=database_settings(postgres),
        redis=RedisSettings(url=store.url, cluster=store.cluster),
        server=ServerSettings(listen="127.0.0.1:50052"),
        telemetry=TelemetrySettings(),
        mesh=MeshSettings(tenant_target=tenant_target, credential=SecretStr("tmk_unused"), rates=QUICK),
        tokens=SigningSettings(issuer=ISSUER, kek_file=kek_file),
        purge=ErasureSettings(database_url=postgres.url("auth_purger")),
    )


@pytest.fixture(scope="session")
def kek_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kek") / "kek"
    path.touch(mode=0o600)
    path.write_bytes(base64.b64encode(KEK_BYTES))
    return path


@pytest.fixture(scope="session")
async def tenant_svc() -> AsyncIterator[StandIn]:
    async with stand_in() as standing_in:
        yield standing_in


@pytest.fixture(scope="session")
async def service(
    postgres: WorkerDatabase, store: Store, kek_file: Path, tenant_svc: StandIn
) -> AsyncIterator[Service]:
    settings = service_settings(postgres, store, kek_file, tenant_svc.target)
    with pytest.MonkeyPatch.context() as patched:
        # What is told is told because somebody registered.
        patched.setattr("tenantmesh.auth_svc.gauges.wiring.REPORT_INTERVAL", timedelta(hours=1))
        application = await build(settings, Telemetry(settings.telemetry, "auth_svc"))
    port = free_port()
    server = make_server(application, settings.server.model_copy(update={"listen": f"127.0.0.1:{port}"}))
    await application.start()
    await application.health.start()
    await server.start()
    keys = [
        await create_key(settings.database, "operator", "OPERATOR", ["*"]),
        await create_key(settings.database, "some_svc", "SERVICE", ["tokens.introspect"]),
    ]
    yield Service(f"127.0.0.1:{port}", tenant_svc, *keys)
    await server.stop(None)
    await application.health.close()
    await application.close()


@pytest.fixture
def acme(service: Service, store: Store) -> TenantRecord:
    """A tenant of one's own, and nothing counted against anybody yet."""
    store.flush()
    return service.tenants.add()
