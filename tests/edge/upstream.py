"""Two small gRPC services behind the edge, which record what reached them. They know no rules of the mesh."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import grpc.aio
from google.protobuf import message as protobuf
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

from tenantmesh.auth.v1 import auth_service_pb2, token_service_pb2
from tenantmesh.tenant.v1 import tenant_pb2, tenant_service_pb2

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
BIG = 3 * 1024 * 1024


@dataclass(frozen=True)
class Arrival:
    """One call as a service saw it."""

    method: str
    metadata: tuple[tuple[str, str | bytes], ...]
    request: protobuf.Message

    def all(self, name: str) -> list[str | bytes]:
        return [value for key, value in self.metadata if key == name]

    def one(self, name: str) -> str | bytes | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} arrived {len(values)} times"
        return values[0] if values else None


@dataclass
class Upstream:
    """Both services, their health, and what arrived. `events` feeds the stream that is being watched."""

    arrivals: list[Arrival] = field(default_factory=list)
    events: asyncio.Queue[tenant_service_pb2.WatchTenantsResponse | None] = field(default_factory=asyncio.Queue)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    health: health.aio.HealthServicer = field(default_factory=health.aio.HealthServicer)
    tenant_port: int = 0
    auth_port: int = 0

    @property
    def last(self) -> Arrival:
        return self.arrivals[-1]

    def record(self, method: str, request: protobuf.Message, context: Context) -> None:
        metadata = tuple((str(key), value) for key, value in context.invocation_metadata() or ())
        self.arrivals.append(Arrival(method, metadata, request))

    async def serving(self, serves: bool) -> None:
        state = health_pb2.HealthCheckResponse.SERVING if serves else health_pb2.HealthCheckResponse.NOT_SERVING
        await self.health.set("", state)


def rich(code: grpc.StatusCode, reason: str, message: str) -> grpc.Status:
    """A status with a detail of each kind that the mesh uses."""
    status = status_pb2.Status(code=code.value[0], message=message)
    violation = error_details_pb2.BadRequest.FieldViolation(field="slug", description="is taken")
    quota = error_details_pb2.QuotaFailure.Violation(subject="tenant:acme", description="1000 a day")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(2500)
    for detail in (
        error_details_pb2.ErrorInfo(reason=reason, domain="tenantmesh", metadata={"source": "test"}),
        error_details_pb2.BadRequest(field_violations=[violation]),
        error_details_pb2.QuotaFailure(violations=[quota]),
        retry,
    ):
        status.details.add().Pack(detail)
    converted: grpc.Status = rpc_status.to_status(status)
    return converted


async def _outlast_cancellation() -> None:
    """As a busy process: it still counts a call some time after its caller has given it up."""
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        await asyncio.sleep(0.03)
        raise


class Tenants:
    """Echoes; an id chooses what happens."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def CreateTenant(
        self, request: tenant_service_pb2.CreateTenantRequest, context: Context
    ) -> tenant_pb2.Tenant:
        self._upstream.record("CreateTenant", request, context)
        return tenant_pb2.Tenant(id="t1", slug=request.slug, state=tenant_pb2.TENANT_STATE_ACTIVE)

    async def GetTenant(self, request: tenant_service_pb2.GetTenantRequest, context: Context) -> tenant_pb2.Tenant:
        self._upstream.record("GetTenant", request, context)
        if request.id == "slow":
            await self._upstream.released.wait()
        if request.id == "stubborn":
            await _outlast_cancellation()
        if request.id == "missing":
            await context.abort_with_status(rich(grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND", 'No "such" tenant.'))
        if request.id == "away":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Later.")
        if request.id == "over":
            await context.abort_with_status(rich(grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "Slow down."))
        if request.id == "unknown-caller":
            await context.abort_with_status(rich(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", "Who?"))
        if request.id == "big":
            return tenant_pb2.Tenant(id=request.id, display_name="x" * BIG)
        await context.send_initial_metadata((("x-request-id", "set-by-the-service"),))
        return tenant_pb2.Tenant(id=request.id, state=tenant_pb2.TENANT_STATE_ACTIVE)

    async def ListTenants(
        self, request: tenant_service_pb2.ListTenantsRequest, context: Context
    ) -> tenant_service_pb2.ListTenantsResponse:
        self._upstream.record("ListTenants", request, context)
        return tenant_service_pb2.ListTenantsResponse(tenants=[tenant_pb2.Tenant(id=f"t{n}") for n in range(40)])

    async def SuspendTenant(
        self, request: tenant_service_pb2.SuspendTenantRequest, context: Context
    ) -> tenant_pb2.Tenant:
        self._upstream.record("SuspendTenant", request, context)
        return tenant_pb2.Tenant(id=request.id, state=tenant_pb2.TENANT_STATE_SUSPENDED)

    async def WatchTenants(
        self, request: tenant_service_pb2.WatchTenantsRequest, context: Context
    ) -> AsyncIterator[tenant_service_pb2.WatchTenantsResponse]:
        self._upstream.record("WatchTenants", request, context)
        if request.cursor == "expired":
            await context.abort_with_status(rich(grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED", "Start again."))
        try:
            while (event := await self._upstream.events.get()) is not None:
                yield event
        except asyncio.CancelledError:
            self._upstream.cancelled.set()
            raise


class Auth:
    """Signs anybody in."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def Login(self, request: auth_service_pb2.LoginRequest, context: Context) -> auth_service_pb2.LoginResponse:
        self._upstream.record("Login", request, context)
        return auth_service_pb2.LoginResponse(access_token="a", expires_in=300)


class Tokens:
    """Publishes one key."""

    async def GetJwks(
        self, request: token_service_pb2.GetJwksRequest, context: Context
    ) -> token_service_pb2.GetJwksResponse:
        return token_service_pb2.GetJwksResponse(keys=[token_service_pb2.Jwk(kty="OKP", kid="k1")])


def handlers(file: FileDescriptor, name: str, servicer: object) -> grpc.GenericRpcHandler:
    """Serves the methods that the servicer has; the others are UNIMPLEMENTED."""
    service = file.services_by_name[name]
    served = {}
    for method in service.methods:
        if implemented := getattr(servicer, method.name, None):
            kind = (
                grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
            )
            request, response = (GetMessageClass(each) for each in (method.input_type, method.output_type))
            served[method.name] = kind(implemented, request.FromString, response.SerializeToString)
    return grpc.method_handlers_generic_handler(service.full_name, served)


@contextlib.asynccontextmanager
async def running(credentials: grpc.ServerCredentials | None = None, *, streams: int = 1000) -> AsyncIterator[Upstream]:
    """Serves both until the block ends; with credentials over TLS. `streams`: calls at a time on a connection."""
    upstream = Upstream()
    options = [("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", streams)]
    servers = [grpc.aio.server(options=options) for _ in range(2)]
    tenant, auth = servers
    tenant.add_generic_rpc_handlers([handlers(tenant_service_pb2.DESCRIPTOR, "TenantService", Tenants(upstream))])
    auth.add_generic_rpc_handlers([handlers(auth_service_pb2.DESCRIPTOR, "AuthService", Auth(upstream))])
    auth.add_generic_rpc_handlers([handlers(token_service_pb2.DESCRIPTOR, "TokenService", Tokens())])
    reflection.enable_server_reflection(["tenantmesh.tenant.v1.TenantService", reflection.SERVICE_NAME], tenant)
    for server in servers:
        health_pb2_grpc.add_HealthServicer_to_server(upstream.health, server)
    upstream.tenant_port, upstream.auth_port = (
        server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
        for server in servers
    )
    await upstream.serving(True)
    for server in servers:
        await server.start()
    yield upstream
    for server in servers:
        await server.stop(None)
