"""Headers of a request that the mesh does not read refuse no call, and too many of them are 431."""

from __future__ import annotations

import asyncio

import pytest

from tenantmesh.interceptors.metadata import MAX_BYTES, MAX_ENTRIES
from tenantmesh.tenant.v1 import tenant_service_pb2
from tests.edge.client import Answer, Headers
from tests.edge.conftest import Edge
from tests.edge.test_grpc import framed

TENANT = "/api/v1/tenants/acme"
UNREAD = [
    ("cookie", "name=Müller".encode()),
    ("cookie", b"name=M\xfcller"),
    ("user-agent", "Browser für alle".encode()),
    ("baggage", "city=Köln".encode()),
    ("sec-ch-ua", "“Browser”".encode()),
    ("x-city", "São Paulo".encode()),
    ("x-city", b"a\tb"),
    ("x_city", b"a name that proxies take for x-city"),
]


async def get(edge: Edge, headers: Headers) -> Answer:
    return await asyncio.to_thread(edge.rest.get, TENANT, headers)


@pytest.mark.parametrize(("name", "value"), UNREAD)
async def test_a_value_that_grpc_can_not_carry_is_left_out(edge: Edge, name: str, value: bytes) -> None:
    answer = await get(edge, [(name, value), ("x-mine", "kept")])
    assert answer.status == 200
    assert edge.upstream.last.all(name) == []
    assert edge.upstream.last.one("x-mine") == "kept"


@pytest.mark.parametrize(("name", "value"), UNREAD)
async def test_it_does_not_refuse_a_grpc_web_call_either(edge: Edge, name: str, value: bytes) -> None:
    message = framed(tenant_service_pb2.GetTenantRequest(id="acme").SerializeToString())
    headers: Headers = [("content-type", "application/grpc-web+proto"), (name, value)]
    path = "/tenantmesh.tenant.v1.TenantService/GetTenant"
    answer = await asyncio.to_thread(edge.rest.call, "POST", path, headers, message)
    assert b"grpc-status:0" in answer.body


@pytest.mark.parametrize("name", ["authorization", "x-tenant-slug", "x-tenant-id", "x-request-id", "traceparent"])
async def test_a_header_that_the_mesh_reads_is_not_taken_away(edge: Edge, name: str) -> None:
    """Without it the call would be another caller's, or for another tenant: the services refuse such a value."""
    assert (await get(edge, [(name, "Müller".encode())])).status == 200
    assert edge.upstream.last.one(name) is not None


async def test_cookies_stay_at_the_edge(edge: Edge) -> None:
    assert (await get(edge, [("cookie", "a" * 12_000)])).status == 200
    assert edge.upstream.last.all("cookie") == []


@pytest.mark.parametrize(
    "headers",
    [
        [("x-mine", "a" * MAX_BYTES)],
        [(f"x-{number}", "a" * 1000) for number in range(8)],
        [(f"x-{number}", "a") for number in range(MAX_ENTRIES)],
        [(f"x-{number}", "a") for number in range(120)],
        [("x-mine", "a" * 20_000)],
    ],
)
async def test_too_many_headers_are_431(edge: Edge, headers: Headers) -> None:
    arrived = len(edge.upstream.arrivals)
    answer = await get(edge, headers)
    assert (answer.status, answer.json()["code"], answer.json()["details"]) == (431, 8, [])
    assert str(MAX_BYTES) in answer.json()["message"]
    assert len(edge.upstream.arrivals) == arrived


@pytest.mark.parametrize("length", range(6500, 8000, 50))
async def test_what_passes_is_what_the_services_take(edge: Edge, length: int) -> None:
    """The services refuse more with a gRPC code that is 429 over REST, which clients repeat in vain."""
    long_path = f"{TENANT}?tenant=acme{'&' * (length - 6000)}"
    answer = await asyncio.to_thread(edge.rest.get, long_path, [("x-mine", "a" * (length // 2))])
    if answer.status == 200:
        arrived = edge.upstream.last.metadata
        assert sum(len(name) + len(value) for name, value in arrived) <= MAX_BYTES
        assert len(arrived) <= MAX_ENTRIES
    else:
        assert answer.status == 431
