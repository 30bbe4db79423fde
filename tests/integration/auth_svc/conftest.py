"""auth_svc on a real PostgreSQL and Valkey: its stores, and the whole service behind its own chain."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import SecretStr
from tenantmesh.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from tenantmesh.auth.v1.token_service_pb2_grpc import TokenServiceStub
from tenantmesh.tenant.v1 import quota_service_pb2 as quotas_pb2
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as tenants_pb2
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceServicer, add_QuotaServiceServicer_to_server
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceServicer, add_TenantServiceServicer_to_server

from auth_svc.api_keys.bootstrap import create_key
from auth_svc.app import build
from auth_svc.doors import Doors
from auth_svc.settings import AuthSettings, MeshSettings, TokenSettings
from auth_svc.tokens.sealing import KeyEncryptionKey
from deploy.embedded.valkey import Valkey
from interceptors.client import Credential, channel
from interceptors.errors import MeshError
from interceptors.status import refusal
from interceptors.tenants import TenantId, TenantRecord, TenantState
from runtime.database import Database, connect
from runtime.server import make_server
from runtime.settings import DatabaseSettings, RedisSettings, ServerSettings, TelemetrySettings
from runtime.telemetry import Telemetry
from tests.fixtures.engines import WorkerDatabase
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
    return Doors(database)


@pytest.fixture(scope="session")
def kek() -> KeyEncryptionKey:
    return KeyEncryptionKey(KEK_BYTES)


@pytest.fixture
def tenant() -> TenantRecord:
    return new_tenant()


def new_tenant(state: TenantState = TenantState.ACTIVE) -> TenantRecord:
    """A tenant that no other test has: tests share the database."""
    return TenantRecord(TenantId(uuid.uuid4()), f"t{uuid.uuid4().hex[:20]}", state, "basic")


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


class StandInTenants(TenantServiceServicer):
    """tenant_svc as auth_svc sees it: resolving, and a watch on which nothing happens."""

    def __init__(self) -> None:
        self.records: dict[str, TenantRecord] = {}

    def add(self, state: TenantState = TenantState.ACTIVE) -> TenantRecord:
        record = new_tenant(state)
        self.records[str(record.id)] = self.records[record.slug] = record
        return record

    async def ResolveTenant(self, request: tenants_pb2.ResolveTenantRequest, context: Any) -> tenant_pb2.Tenant:
        record = self.records.get(request.tenant_id or request.slug)
        if record is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such tenant")
            raise AssertionError
        state = tenant_pb2.TenantState.Value(f"TENANT_STATE_{record.state.name}")
        return tenant_pb2.Tenant(id=str(record.id), slug=record.slug, state=state, plan_id=record.plan_id)

    async def WatchTenants(
        self, request: tenants_pb2.WatchTenantsRequest, context: Any
    ) -> AsyncIterator[tenants_pb2.WatchTenantsResponse]:
        yield tenants_pb2.WatchTenantsResponse(cursor="1")
        await asyncio.Event().wait()

    async def CreateTenant(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    GetTenant = ListTenants = SuspendTenant = ResumeTenant = MigrateTenantPlan = CreateTenant


class StandInQuotas(QuotaServiceServicer):
    """tenant_svc as the reporter of levels sees it."""

    def __init__(self) -> None:
        self.told: list[quotas_pb2.ReportGaugeRequest] = []
        self.refusals: dict[str, MeshError] = {}
        """By tenant; under "" for everybody."""
        self.refused = 0
        self._changed = asyncio.Event()

    def level(self, tenant_id: uuid.UUID) -> int:
        """The number of users by the newest report; -1 where there was none."""
        reports = [each for each in self.told if each.id == str(tenant_id)]
        return max(reports, key=lambda each: each.version).level if reports else -1

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for reports that make the condition true."""
        async with asyncio.timeout(60):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ReportGauge(self, request: quotas_pb2.ReportGaugeRequest, context: Any) -> quotas_pb2.Gauge:
        refused = self.refusals.get("") or self.refusals.get(request.id)
        if refused is None:
            self.told.append(request)
        else:
            self.refused += 1
        self._changed.set()
        if refused is not None:
            answer = refusal(refused)
            context.set_trailing_metadata(answer.metadata)
            await context.abort(answer.code, answer.message)
        return quotas_pb2.Gauge(gauge=request.gauge, level=request.level)

    async def Lease(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    Return = Allocate = Commit = Release = AdjustGauge = Lease


@dataclass
class Service:
    """A running auth_svc."""

    target: str
    tenants: StandInTenants
    quotas: StandInQuotas
    operator_key: str
    service_key: str

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


def service_settings(postgres: WorkerDatabase, valkey: Valkey, kek_file: Path, tenant_target: str) -> AuthSettings:
    return AuthSettings(
        mode="development",
        database=database_settings(postgres),
        redis=RedisSettings(url=valkey.url),
        server=ServerSettings(listen="127.0.0.1:50052"),
        telemetry=TelemetrySettings(),
        mesh=MeshSettings(tenant_target=tenant_target, credential=SecretStr("tmk_unused")),
        tokens=TokenSettings(issuer=ISSUER, kek_file=kek_file),
    )


@pytest.fixture(scope="session")
def kek_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kek") / "kek"
    path.touch(mode=0o600)
    path.write_bytes(base64.b64encode(KEK_BYTES))
    return path


@dataclass
class StandIn:
    """tenant_svc, as far as auth_svc needs it."""

    target: str
    tenants: StandInTenants
    quotas: StandInQuotas


@asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    """Serves a stand-in for tenant_svc."""
    tenants, quotas = StandInTenants(), StandInQuotas()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    add_TenantServiceServicer_to_server(tenants, server)
    add_QuotaServiceServicer_to_server(quotas, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield StandIn(f"127.0.0.1:{port}", tenants, quotas)
    finally:
        await server.stop(None)


@pytest.fixture(scope="session")
async def tenant_svc() -> AsyncIterator[StandIn]:
    async with stand_in() as standing_in:
        yield standing_in


@pytest.fixture(scope="session")
async def service(
    postgres: WorkerDatabase, valkey: Valkey, kek_file: Path, tenant_svc: StandIn
) -> AsyncIterator[Service]:
    settings = service_settings(postgres, valkey, kek_file, tenant_svc.target)
    with pytest.MonkeyPatch.context() as patched:
        # What is told is told because somebody registered.
        patched.setattr("auth_svc.app.REPORT_INTERVAL", timedelta(hours=1))
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
    yield Service(f"127.0.0.1:{port}", tenant_svc.tenants, tenant_svc.quotas, *keys)
    await server.stop(None)
    await application.health.close()
    await application.close()


@pytest.fixture
def acme(service: Service, valkey: Valkey) -> TenantRecord:
    """A tenant of one's own, and nothing counted against anybody yet."""
    valkey.flush()
    return service.tenants.add()
