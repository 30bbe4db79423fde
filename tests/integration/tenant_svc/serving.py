"""tenant_svc as it runs, for tests: its own app, its chain, PostgreSQL and Valkey, called over gRPC."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.chassis.settings import EventSettings, MeshSettings, TokenSettings
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.runtime.server import make_server
from tenantmesh.runtime.settings import DatabaseSettings, RedisSettings, ServerSettings, TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub
from tenantmesh.tenant_svc.app import build
from tenantmesh.tenant_svc.settings import TenantSettings
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.auth_stand_in import AUDIENCE, ISSUER, AuthStandIn
from tests.ports import free_port

OWN_KEY = "tmk_own-key-of-tenant-svc"


class Service:
    """A running service, who stands in for auth_svc, and its callers."""

    def __init__(self, target: str, auth: AuthStandIn, settings: TenantSettings) -> None:
        self.target = target
        self.auth = auth
        self.settings = settings
        self._channels: list[grpc.aio.Channel] = []
        self.operator = self.stub(auth.key(policy_pb2.AUDIENCE_OPERATOR, "*"))

    def stub(self, credential: str | None) -> Any:
        return TenantServiceStub(self.channel(credential))

    def channel(self, credential: str | None = None) -> grpc.aio.Channel:
        self._channels.append(channel(self.target, credential=Credential(credential) if credential else None))
        return self._channels[-1]

    async def close(self) -> None:
        for opened in self._channels:
            await opened.close()

    def service_key(self, *permissions: str) -> str:
        return self.auth.key(policy_pb2.AUDIENCE_SERVICE, *permissions)


def settings_for(database: WorkerDatabase, store: Store, auth_target: str, proxies: str = "") -> TenantSettings:
    return TenantSettings(
        database=DatabaseSettings(url=database.url("tenant_app"), system_url=database.url("tenant_directory")),
        redis=RedisSettings(url=store.url, cluster=store.cluster),
        mesh=MeshSettings.model_validate(
            {"auth_target": auth_target, "credential": OWN_KEY, "trusted_proxies": proxies}
        ),
        tokens=TokenSettings(issuer=ISSUER, audience=AUDIENCE),
        events=EventSettings.model_validate({"checkpoint_interval": "200ms", "window": 20}),
    )


@asynccontextmanager
async def running(database: WorkerDatabase, store: Store, *, proxies: str = "") -> AsyncIterator[Service]:
    """The service, which believes these proxies."""
    auth = AuthStandIn()
    auth_server, auth_target = await auth.serve()
    settings = settings_for(database, store, auth_target, proxies)
    application = await build(settings, Telemetry(TelemetrySettings(), "tenant_svc"))
    await application.start()
    await application.health.start()
    target = f"127.0.0.1:{free_port()}"
    server = make_server(application, ServerSettings(listen=target, reflection=True))
    await server.start()
    made = Service(target, auth, settings)
    yield made
    await made.close()
    await application.health.close()
    await server.stop(0)
    await application.close()
    await auth_server.stop(0)


def request(slug: str | None = None, **fields: Any) -> pb.CreateTenantRequest:
    return pb.CreateTenantRequest(slug=slug or f"t-{uuid.uuid4().hex[:20]}", **fields)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason_of(caught.value)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    return str(info_of(status_pb2.Status.FromString(details)).reason)


def info_of(status: status_pb2.Status) -> Any:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info
