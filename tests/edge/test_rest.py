"""What a REST caller's headers, host, query and body become for the services."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path

import pytest

from tenantmesh.deploy.envoy import EdgeSettings
from tenantmesh.tenant.v1 import tenant_service_pb2
from tests.edge.client import Answer, Headers, Rest
from tests.edge.conftest import ORIGIN, Edge, serving, until_healthy
from tests.edge.upstream import BIG, Upstream
from tests.ports import free_port

TENANT = "/api/v1/tenants/acme"


async def get(edge: Edge, path: str, headers: Headers = ()) -> Answer:
    return await asyncio.to_thread(edge.rest.get, path, headers)


async def post(edge: Edge, path: str, value: object, headers: Headers = ()) -> Answer:
    return await asyncio.to_thread(edge.rest.post, path, value, headers)


async def test_each_package_goes_to_its_own_service(edge: Edge) -> None:
    assert (await get(edge, TENANT)).json()["id"] == "acme"
    login = await post(edge, "/api/v1/auth/login", {"email": "a@example.com", "password": "secret"})
    assert login.json()["accessToken"] == "a"
    assert (await get(edge, "/.well-known/jwks.json")).json()["keys"][0]["kid"] == "k1"


async def test_zeros_and_empty_strings_are_there_and_enums_are_names(edge: Edge) -> None:
    assert (await get(edge, TENANT)).json() == {
        "id": "acme",
        "slug": "",
        "displayName": "",
        "planId": "",
        "planVersion": 0,
        "state": "TENANT_STATE_ACTIVE",
        "etag": "",
        "labels": {},
        "region": "",
        "externalId": "",
        "timeZone": "",
        "locale": "",
        "currency": "",
        "contacts": [],
        "parentId": "",
        "deleteProtection": False,
        "formerSlugs": [],
        "loginHosts": [],
        "primaryLoginHost": "",
    }


async def test_host_query_and_peer_reach_the_service_as_metadata(edge: Edge) -> None:
    headers = [("host", "acme.example.com:8443"), ("x-forwarded-for", "192.0.2.7"), ("x-request-id", "r-1")]
    await get(edge, f"{TENANT}?tenant=acme", [*headers, ("authorization", "Bearer t"), ("x-tenant-slug", "acme")])
    arrived = edge.upstream.last
    assert arrived.one("x-forwarded-host") == "acme.example.com:8443"
    assert arrived.one("x-tenant-query") == "acme"
    assert arrived.one("x-tenant-slug") == "acme"
    assert arrived.one("x-forwarded-for") == "192.0.2.7,127.0.0.1"
    assert arrived.one("x-request-id") == "r-1"
    assert arrived.one("authorization") == "Bearer t"


async def test_without_a_query_there_is_no_query_header(edge: Edge) -> None:
    await get(edge, TENANT)
    assert edge.upstream.last.one("x-tenant-query") is None


async def test_the_query_parameter_stands_beside_others(edge: Edge) -> None:
    answer = await get(edge, "/api/v1/tenants?pageSize=2&tenant=acme&pageToken=p")
    assert answer.status == 200
    assert edge.upstream.last.one("x-tenant-query") == "acme"
    assert "page_size: 2" in str(edge.upstream.last.request)


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ("a%26pageSize%3D5", "a&pageSize=5"),
        ("%2520", "%20"),
        ("a%2Bb+c", "a+b c"),
        ("a%0d%0ab%08", "a\r\nb\b"),
        ("%C3%85", "Å"),
    ],
)
async def test_encoded_values_are_decoded_once(edge: Edge, encoded: str, value: str) -> None:
    answer = await get(edge, f"/api/v1/tenants?tenant=acme&pageToken={encoded}")
    assert answer.status == 200
    request = edge.upstream.last.request
    assert isinstance(request, tenant_service_pb2.ListTenantsRequest)
    assert (request.page_token, request.page_size) == (value, 0)


async def test_a_repeated_tenant_header_arrives_repeated(edge: Edge) -> None:
    await get(edge, TENANT, [("x-tenant-id", "a"), ("x-tenant-id", "b")])
    values = [str(value) for value in edge.upstream.last.all("x-tenant-id")]
    assert sorted(part for value in values for part in value.split(",")) == ["a", "b"]


@pytest.mark.parametrize(
    "header",
    [
        "x-tenant-query",
        "x-forwarded-host",
        "x-forwarded-client-cert",
        "forwarded",
        "x-real-ip",
        "x-tenantmesh-caller",
        "X-TenantMesh-Role",
        "x-envoy-original-path",
        "x-envoy-upstream-rq-timeout-ms",
        "grpc-encoding",
        "grpc-timeout",
        "trace-bin",
        "x!y",
        "te",
    ],
)
async def test_headers_that_only_the_mesh_may_send_are_stripped(edge: Edge, header: str) -> None:
    answer = await get(edge, TENANT, [(header, "forged"), ("x-mine", "kept")])
    assert answer.status == 200
    assert edge.upstream.last.one("x-mine") == "kept"
    assert "forged" not in [value for _, value in edge.upstream.last.metadata]


async def test_text_beyond_ascii_in_a_header_breaks_nothing(edge: Edge) -> None:
    assert (await get(edge, TENANT, [("x-mine", "é€".encode())])).status == 200


async def test_grpc_headers_stay_out_of_json_answers(edge: Edge) -> None:
    for path in (TENANT, "/api/v1/tenants/missing"):
        answer = await get(edge, path)
        assert [name for name in answer.headers if name.startswith(("grpc-", "x-envoy-", "server"))] == []


async def test_the_answer_names_the_request(edge: Edge) -> None:
    assert (await get(edge, TENANT, [("x-request-id", "not a uuid")])).headers["x-request-id"] == "not a uuid"
    assert (await get(edge, TENANT)).headers["x-request-id"]
    assert (await get(edge, "/nowhere")).headers["x-request-id"]


async def test_a_large_answer_passes(edge: Edge) -> None:
    assert len((await get(edge, "/api/v1/tenants/big")).json()["displayName"]) == BIG


async def test_json_is_compressed_for_those_who_ask(edge: Edge) -> None:
    answer = await get(edge, "/api/v1/tenants", [("accept-encoding", "gzip")])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(answer.body))["tenants"]) == 40


async def test_pages_of_configured_origins_may_call(edge: Edge) -> None:
    preflight = [("origin", ORIGIN), ("access-control-request-method", "GET")]
    allowed = await asyncio.to_thread(edge.rest.call, "OPTIONS", TENANT, preflight)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "x-tenant-slug" in allowed.headers["access-control-allow-headers"]
    assert (await get(edge, TENANT, [("origin", ORIGIN)])).headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("origin", ["https://evil.example.com", f"{ORIGIN}.evil.test", "https://appxexample.com"])
async def test_pages_of_other_origins_may_not(edge: Edge, origin: str) -> None:
    preflight = [("origin", origin), ("access-control-request-method", "GET")]
    refused = await asyncio.to_thread(edge.rest.call, "OPTIONS", TENANT, preflight)
    assert refused.status == 404
    assert "access-control-allow-origin" not in refused.headers


async def test_behind_a_load_balancer_each_client_keeps_an_address_of_its_own(
    upstream: Upstream, tmp_path: Path
) -> None:
    """Services take the last entry; were it the balancer's, all its clients would share one limit."""
    settings = EdgeSettings(
        port=free_port(),
        admin_port=None,
        trusted_hops=1,
        tenant=(f"127.0.0.1:{upstream.tenant_port}",),
        auth=(f"127.0.0.1:{upstream.auth_port}",),
    )
    async with serving(settings, tmp_path) as process:
        rest = Rest(settings.port)
        await until_healthy(rest, process)
        for said, client in (("203.0.113.7", "203.0.113.7"), ("198.51.100.1, 198.51.100.9", "198.51.100.9")):
            await asyncio.to_thread(rest.get, "/api/v1/tenants/acme", [("x-forwarded-for", said)])
            last = str(upstream.last.one("x-forwarded-for")).rpartition(",")[2].strip()
            assert last == client
