"""The stack's edge and services: who is believed about a caller, who answers health, what is routed."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.auth.v1 import auth_service_pb2
from tenantmesh.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from tenantmesh.interceptors.client import Credential, channel
from tenantmesh.tenant.v1 import quota_service_pb2
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub
from tests.fixtures.mesh import Mesh, User, World


@pytest.fixture(scope="module")
async def user(world: World) -> User:
    return await world.user(await world.tenant("edge"))


def login(user: User) -> auth_service_pb2.LoginRequest:
    return auth_service_pb2.LoginRequest(email=user.email, password="not the password")


@pytest.mark.parametrize("header", ["x-forwarded-host", "x-tenant-query"])
async def test_a_local_program_is_not_believed_about_its_caller(mesh: Mesh, user: User, header: str) -> None:
    """It could pass the limits of addresses by calling from any."""
    value = f"{user.tenant.slug}.localhost" if header == "x-forwarded-host" else user.tenant.slug
    async with grpc.aio.insecure_channel(mesh.auth_target) as opened:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AuthServiceStub(opened).Login(login(user), metadata=[(header, value)], timeout=20)
    assert "tenant" in (caught.value.details() or "")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def post(mesh: Mesh, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", mesh.stack.ports["edge"], timeout=20)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_edge_is(mesh: Mesh, user: User) -> None:
    body = {"email": user.email, "password": "not the password"}
    assert post(mesh, "/api/v1/auth/login", body, {"host": f"{user.tenant.slug}.localhost"}) == 401


@pytest.mark.parametrize("name", ["tenant_health", "auth_health"])
def test_each_service_answers_health_at_a_port_of_its_own(mesh: Mesh, name: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{mesh.stack.ports[name]}") as opened:
        stub: Any = health_pb2_grpc.HealthStub(opened)
        assert stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("name", ["tenant_metrics", "auth_metrics"])
def test_watches_of_health_are_counted_at_each_port(mesh: Mesh, name: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{mesh.stack.ports[name]}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    counted = {line.rpartition(" ")[0] for line in lines if line.startswith("tenantmesh_health_watches")}
    assert counted >= {f'tenantmesh_health_watches{{port="{port}"}}' for port in ("calls", "health")}
    assert counted >= {f'tenantmesh_health_watches_refused_total{{port="{port}"}}' for port in ("calls", "health")}


async def test_a_service_key_leases_nothing_through_the_edge(mesh: Mesh, user: User) -> None:
    request = quota_service_pb2.LeaseRequest(id=user.tenant.id)
    codes = []
    for target in (mesh.edge_target, mesh.tenant_target):
        async with channel(target, credential=Credential(mesh.service_key)) as opened:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await QuotaServiceStub(opened).Lease(request, timeout=20)
        codes.append(caught.value.code())
    assert codes == [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT]
