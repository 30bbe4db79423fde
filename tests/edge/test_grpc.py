"""gRPC and gRPC-Web on the same port, untouched by what the edge does to REST."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from typing import Any, TypeAlias, cast

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from tenantmesh.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from tenantmesh.tenant.v1 import tenant_pb2, tenant_service_pb2, tenant_service_pb2_grpc
from tests.edge.conftest import Edge
from tests.edge.test_streams import event
from tests.edge.upstream import BIG

TIMEOUT = 10
# The asynchronous kind of the stub exists for type checkers only.
Tenants: TypeAlias = "tenant_service_pb2_grpc.TenantServiceAsyncStub"


@pytest_asyncio.fixture
async def channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(edge.target) as opened:
        yield opened


@pytest.fixture
def tenants(channel: grpc.aio.Channel) -> Tenants:
    return tenant_service_pb2_grpc.TenantServiceStub(channel)


async def test_unary_calls_reach_both_services(channel: grpc.aio.Channel, tenants: Tenants) -> None:
    found = await tenants.GetTenant(tenant_service_pb2.GetTenantRequest(id="acme"), timeout=TIMEOUT)
    assert found.id == "acme"
    auth = auth_service_pb2_grpc.AuthServiceStub(channel)
    assert (await auth.Login(auth_service_pb2.LoginRequest(email="a@b.c"), timeout=TIMEOUT)).expires_in == 300


async def test_internal_headers_are_stripped_and_binary_metadata_passes(edge: Edge, tenants: Tenants) -> None:
    forged = (("x-tenantmesh-caller", "root"), ("x-tenant-query", "evil"), ("x-envoy-original-path", "/"))
    sent = (*forged, ("a-bin", b"\0"))
    await tenants.GetTenant(tenant_service_pb2.GetTenantRequest(id="acme"), metadata=sent, timeout=TIMEOUT)
    arrived = edge.upstream.last
    assert arrived.one("a-bin") == b"\0"
    assert arrived.one("x-forwarded-host") == edge.target
    names = {name for name, _ in arrived.metadata}
    assert names.isdisjoint({"x-tenantmesh-caller", "x-tenant-query", "x-envoy-original-path"})


async def test_a_deadline_reaches_the_service(edge: Edge, tenants: Tenants) -> None:
    edge.upstream.cancelled.clear()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in tenants.WatchTenants(tenant_service_pb2.WatchTenantsRequest(), timeout=0.3):
            pass
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(edge.upstream.cancelled.wait(), 5)


async def test_rich_errors_arrive_as_grpc_has_them(tenants: Tenants) -> None:
    metadata = (("accept", "application/x-ndjson"),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tenants.GetTenant(tenant_service_pb2.GetTenantRequest(id="missing"), metadata=metadata, timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    status = rpc_status.from_call(cast("grpc.Call", caught.value))
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "TENANT_NOT_FOUND"


async def test_an_unknown_service_is_unimplemented(channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_unary("/nobody.v1.Nothing/Ask", lambda _: b"", lambda raw: raw)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(None, timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "{" not in (caught.value.details() or "")


async def test_messages_beyond_the_limit_for_rest_pass(tenants: Tenants) -> None:
    sent = tenant_service_pb2.CreateTenantRequest(slug="a" * (BIG // 2))
    made: tenant_pb2.Tenant = await tenants.CreateTenant(sent, timeout=TIMEOUT)
    assert len(made.slug) == BIG // 2


async def test_streams_arrive_message_by_message(edge: Edge, tenants: Tenants) -> None:
    call = tenants.WatchTenants(tenant_service_pb2.WatchTenantsRequest(), timeout=TIMEOUT)
    messages = aiter(call)
    for cursor in ("1", "2"):
        await edge.upstream.events.put(event(cursor))
        assert (await anext(messages)).cursor == cursor
    await edge.upstream.events.put(None)
    assert [message async for message in messages] == []


async def test_health_and_reflection_are_there(channel: grpc.aio.Channel) -> None:
    # The types of these two packages know the blocking stubs only.
    health = cast("Any", health_pb2_grpc).HealthStub(channel)
    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = cast("Any", reflection_pb2_grpc).ServerReflectionStub(channel)
    asked = iter([cast("Any", reflection_pb2).ServerReflectionRequest(list_services="")])
    async for listed in reflection.ServerReflectionInfo(asked, timeout=TIMEOUT):
        names = {service.name for service in listed.list_services_response.service}
        assert "tenantmesh.tenant.v1.TenantService" in names


def framed(message: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(message)) + message


@pytest.mark.parametrize("text", [False, True])
async def test_grpc_web_over_http_1(edge: Edge, text: bool) -> None:
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    request = framed(tenant_service_pb2.GetTenantRequest(id="acme").SerializeToString())
    answer = await asyncio.to_thread(
        edge.rest.call,
        "POST",
        "/tenantmesh.tenant.v1.TenantService/GetTenant",
        [("content-type", kind), ("accept", kind), ("x-grpc-web", "1"), ("x-tenantmesh-caller", "root")],
        base64.b64encode(request) if text else request,
    )
    body = b"".join(base64.b64decode(part) for part in parts(answer.body)) if text else answer.body
    expected = framed(tenant_pb2.Tenant(id="acme", state=tenant_pb2.TENANT_STATE_ACTIVE).SerializeToString())
    assert body.startswith(expected)
    assert body[len(expected)] == 0x80, "the trailers' frame"
    assert b"grpc-status:0" in body
    assert edge.upstream.last.one("x-tenantmesh-caller") is None


def parts(body: bytes) -> list[bytes]:
    """Splits a gRPC-Web text body, whose frames are encoded one by one, behind each one's padding."""
    split = body.replace(b"=", b"= ").replace(b"= =", b"==").split()
    return [piece for piece in split if piece]


async def test_a_grpc_web_error_has_its_status(edge: Edge) -> None:
    answer = await asyncio.to_thread(
        edge.rest.call,
        "POST",
        "/tenantmesh.tenant.v1.TenantService/GetTenant",
        [("content-type", "application/grpc-web+proto")],
        framed(tenant_service_pb2.GetTenantRequest(id="missing").SerializeToString()),
    )
    assert answer.headers["grpc-status"] == "5" or b"grpc-status:5" in answer.body
