"""Bad input: each kind gets its documented error on both transports, nothing is written, the mesh stays up."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from tests.fixtures.mesh import AUTH, TENANTS, Mesh, World
from tests.hostile import HostileClient
from tests.transports import Answer, GrpcTransport, RestTransport, Transport, raw

JSON = "application/json"


def send(mesh: Mesh, verb: str, path: str, headers: Any = (), body: bytes | None = None, kind: str = JSON) -> Any:
    """Status and decoded body; every refusal at the edge is JSON of one shape."""
    status, answered, text = RestTransport(mesh.edge_target).send(verb, path, headers, body, kind)
    decoded = json.loads(text)
    assert answered["content-type"] == JSON
    assert {"code", "message", "details"} <= decoded.keys(), decoded
    assert "Traceback" not in decoded["message"]
    return status, decoded


def operator(mesh: Mesh) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {mesh.operator_key}")]


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff\xfe", b'{"slug": 7}', b'{"slug": "\\ud800"}'])
def test_malformed_json(mesh: Mesh, body: bytes) -> None:
    status, answer = send(mesh, "POST", "/api/v1/tenants/create", operator(mesh), body)
    assert (status, answer["code"]) == (400, 3)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/", 404),
        ("PATCH", "/api/v1/tenants/create", 405),
        ("GET", "/api/v1/tenants?pageSize=many", 400),
        ("GET", "/api/v1/tenants?unknown=1", 400),
        ("GET", "/api/v1/tenants?pageToken=garbage", 400),
        ("GET", "/api/v1/tenants?pageSize=-1", 400),
        ("GET", "/api/v1/tenants/%00", 400),
    ],
)
def test_paths_and_queries_that_mean_nothing(mesh: Mesh, verb: str, path: str, status: int) -> None:
    answered, _ = send(mesh, verb, path, operator(mesh))
    assert answered == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_wrong_content_types(mesh: Mesh, kind: str) -> None:
    status, answer = send(mesh, "POST", "/api/v1/tenants/create", operator(mesh), b'{"slug": "wrong-type"}', kind)
    assert status == 415
    assert "application/json" in answer["message"]


def test_bodies_beyond_the_limit(mesh: Mesh) -> None:
    status, _ = send(mesh, "POST", "/api/v1/tenants/create", operator(mesh), b'{"slug": "' + b"x" * 2_000_000 + b'"}')
    assert status == 413


async def test_messages_beyond_the_limit(mesh: Mesh, grpc_transport: GrpcTransport) -> None:
    answer = await grpc_transport.call(f"{TENANTS}/CreateTenant", {"slug": "x" * 2_000_000}, token=mesh.operator_key)
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE")


def test_a_path_and_a_body_that_disagree(mesh: Mesh) -> None:
    body = json.dumps({"id": "other", "reason": "x"}).encode()
    status, _ = send(mesh, "POST", "/api/v1/tenants/some-tenant:suspend", operator(mesh), body)
    assert status == 400


@pytest.mark.parametrize("method", ["Login", "Register"])
async def test_fields_of_the_wrong_size(transport: Transport, world: World, method: str) -> None:
    tenant = await world.tenant()
    here = [("x-tenant-slug", tenant.slug)]
    for request in ({}, {"email": "not an address", "password": "x" * 16}, {"email": "a" * 300 + "@b.example"}):
        answer = await transport.call(f"{AUTH}/{method}", request, metadata=here)
        assert answer.code in {"INVALID_ARGUMENT", "UNAUTHENTICATED"}, answer
    short = await transport.call(f"{AUTH}/Register", {"email": "a@b.example", "password": "short"}, metadata=here)
    assert short.reason == "INVALID_FIELD"
    assert "short" not in str(short.details), "a password is never repeated"


async def test_duplicated_and_oversized_metadata(transport: Transport, mesh: Mesh) -> None:
    method = f"{TENANTS}/GetTenant"

    async def refused(metadata: list[tuple[str, str]]) -> Answer:
        return await transport.call(method, {"id": "acme"}, token=mesh.operator_key, metadata=metadata)

    twice = await refused([("x-tenant-slug", "acme"), ("x-tenant-slug", "globex")])
    assert (twice.code, twice.reason) == ("INVALID_ARGUMENT", "DUPLICATE_METADATA")
    many = await refused([(f"x-note-{number}", "a") for number in range(70)])
    assert many.code == "RESOURCE_EXHAUSTED"
    foreign = await refused([("x-tenantmesh-caller", "root")])
    assert foreign.reason in {"INVALID_METADATA", "TENANT_NOT_FOUND"}, "refused, or stripped at the edge"


@pytest.mark.parametrize("value", ["a\r\nx-role: admin", "a\x00b", "a\nb"])
@pytest.mark.parametrize("where", ["tenant_target", "edge_target"])
async def test_control_characters_in_values(mesh: Mesh, value: str, where: str) -> None:
    async with HostileClient(getattr(mesh, where)) as client:
        headers = [("authorization", f"Bearer {mesh.operator_key}"), ("x-tenant-slug", value)]
        answer = await client.answer(await client.send(f"/{TENANTS}/GetTenant", headers, b"\0\0\0\0\x06\n\x04acme"))
    assert answer.headers.get("grpc-status") != "0"


FOREIGN = [("cookie", "name=J\u00fcrgen"), ("x-city", "K\u00f6ln"), ("baggage", "who=\u00e9"), ("x-tabbed", "a\tb")]


def test_headers_that_the_mesh_does_not_read_refuse_no_rest_call(mesh: Mesh) -> None:
    assert RestTransport(mesh.edge_target).send("GET", "/api/v1/tenants", [*operator(mesh), *FOREIGN])[0] == 200


@pytest.mark.parametrize("where", ["tenant_target", "edge_target"])
async def test_headers_that_the_mesh_does_not_read_refuse_no_grpc_call(mesh: Mesh, where: str) -> None:
    async with HostileClient(getattr(mesh, where)) as client:
        headers = [*operator(mesh), *FOREIGN]
        answer = await client.answer(await client.send(f"/{TENANTS}/ListTenants", headers, b"\0\0\0\0\0"))
    assert answer.headers.get("grpc-status") == "0"


@pytest.mark.parametrize("body", [b"\xff\0\0\0\0", b"\0\0\0\0\x05hello", b"\0\xff\xff\xff\xff", b"\x02\0\0\0\x01a"])
async def test_malformed_frames(mesh: Mesh, body: bytes) -> None:
    async with HostileClient(mesh.tenant_target) as client:
        headers = [("authorization", f"Bearer {mesh.operator_key}")]
        answer = await client.answer(await client.send(f"/{TENANTS}/CreateTenant", headers, body))
    assert answer.headers.get("grpc-status") != "0"


async def test_half_sent_calls_end_and_the_mesh_stays_up(mesh: Mesh, grpc_transport: GrpcTransport) -> None:
    async with HostileClient(mesh.tenant_target) as client:
        headers = [("authorization", f"Bearer {mesh.operator_key}")]
        stream = await client.send(f"/{TENANTS}/ListTenants", headers, b"\0\0\0", end=False)
        answer = await client.answer(stream, seconds=20)
    assert answer.headers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
    assert (await grpc_transport.call(f"{TENANTS}/ListTenants", token=mesh.operator_key)).code == "OK"


async def test_nothing_is_written_by_what_is_refused(transport: Transport, mesh: Mesh) -> None:
    slug = f"refused-{uuid.uuid4().hex[:8]}"
    create = f"{TENANTS}/CreateTenant"
    refusals = await asyncio.gather(
        transport.call(create, {"slug": slug}),
        transport.call(create, {"slug": slug}, token="tmk_nobody"),
        transport.call(create, {"slug": slug, "planId": "imaginary"}, token=mesh.operator_key),
        transport.call(create, {"slug": slug, "displayName": "x" * 500}, token=mesh.operator_key),
        transport.call(create, {"slug": slug, "requestId": "not a uuid"}, token=mesh.operator_key),
    )
    assert all(each.code != "OK" for each in refusals), refusals
    checked = await transport.call(create, {"slug": slug, "validateOnly": True}, token=mesh.operator_key)
    assert checked.code == "OK"
    assert (await transport.call(f"{TENANTS}/GetTenant", {"id": slug}, token=mesh.operator_key)).code == "NOT_FOUND"


async def test_unknown_methods(mesh: Mesh) -> None:
    for target in (mesh.tenant_target, mesh.edge_target):
        async with grpc.aio.insecure_channel(target) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raw(channel, f"/{TENANTS}/Nothing", b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_at_the_edge_is_that_of_the_service_before_all_others(mesh: Mesh) -> None:
    """A proxy does not read which service a request names: each other one is asked at its own port, or by /healthz."""
    auth = health_pb2.HealthCheckRequest(service="tenantmesh.auth.v1.AuthService").SerializeToString()
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()
    method = "/grpc.health.v1.Health/Check"
    async with grpc.aio.insecure_channel(mesh.edge_target) as edge, grpc.aio.insecure_channel(mesh.auth_target) as own:
        assert await raw(edge, method, b"") == serving
        assert await raw(own, method, auth) == serving
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(edge, method, auth)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_the_health_of_all_services_is_listed_without_a_credential(mesh: Mesh) -> None:
    untyped: Any = health_pb2  # its type stubs are older than the method
    for target in (mesh.tenant_target, mesh.auth_target, mesh.edge_target):
        async with grpc.aio.insecure_channel(target) as channel:
            body = await raw(channel, "/grpc.health.v1.Health/List", b"")
        listed = untyped.HealthListResponse.FromString(body).statuses
        assert listed[""].status == health_pb2.HealthCheckResponse.SERVING
        assert any(name.startswith("tenantmesh.") for name in listed)
