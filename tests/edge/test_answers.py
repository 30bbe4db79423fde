"""What the edge adds to answers, its own refusals among them: CORS, Vary, challenges, HEAD, and older HTTP."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection

import pytest

from tests.edge.client import Answer, Headers
from tests.edge.conftest import ORIGIN, Edge

TENANT = "/api/v1/tenants/acme"
CREATE = "/api/v1/tenants/create"
FOREIGN = "https://evil.example.com"
JSON = ("content-type", "application/json")
PAGE = ("origin", ORIGIN)
TOO_LARGE = b"{" + b" " * 1024 * 1024 + b"}"
GRPC_WEB = ("content-type", "application/grpc-web+proto")


async def call(edge: Edge, method: str, path: str, headers: Headers = (), body: bytes | None = None) -> Answer:
    return await asyncio.to_thread(edge.rest.call, method, path, headers, body)


async def raw(edge: Edge, request: bytes) -> bytes:
    """Everything that the edge answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.rest.port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", TENANT, [], None, 200),
        ("GET", "/api/v1/tenants/missing", [], None, 404),
        ("GET", "/nowhere", [], None, 404),
        ("GET", f"{TENANT}?bogus=1", [], None, 400),
        ("GET", "/api/v1/tenants?pageSize=many", [], None, 400),
        ("GET", "/api/v1/tenants/%ff", [], None, 400),
        ("GET", "/api/v1/tenants/a%00b", [], None, 400),
        ("DELETE", f"{TENANT}/operations", [], None, 405),
        ("POST", CREATE, [JSON], b'{"slug": ', 400),
        ("POST", CREATE, [JSON], TOO_LARGE, 413),
        ("POST", CREATE, [("content-type", "text/plain")], b"{}", 415),
        ("GET", TENANT, [("x-mine", "a" * 9000)], None, 431),
        ("GET", TENANT, [("upgrade", "websocket"), ("connection", "upgrade")], None, 403),
        ("POST", "/nobody.v1.Nothing/Ask", [GRPC_WEB], b"\0\0\0\0\0", 404),
        ("POST", "/tenantmesh.tenant.v1.TenantService/GetTenant", [GRPC_WEB], b"\0\0\0\0\0", 200),
    ],
)
async def test_a_page_can_read_every_answer(
    edge: Edge, method: str, path: str, headers: Headers, body: bytes | None, status: int
) -> None:
    for origin, allowed in ((ORIGIN, ORIGIN), (FOREIGN, None)):
        answer = await call(edge, method, path, [*headers, ("origin", origin)], body)
        assert (answer.status, answer.headers.get("access-control-allow-origin")) == (status, allowed)
        assert ("x-request-id" in answer.headers.get("access-control-expose-headers", "")) is (allowed is not None)
    for sent in ([], [PAGE], [("origin", FOREIGN)]):
        answer = await call(edge, method, path, [*headers, *sent], body)
        assert answer.headers["vary"].split(", ").count("Origin") == 1, "caches must not mix origins"


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("GET", [("x-mine", "a" * 20_000)], 431), ("FOO", [], 400)],
)
async def test_a_page_can_read_a_refusal_that_comes_before_its_headers_are_read(
    edge: Edge, method: str, headers: Headers, status: int
) -> None:
    answer = await call(edge, method, TENANT, [PAGE, *headers])
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, "*")


async def test_a_preflight_varies_by_origin(edge: Edge) -> None:
    answer = await call(edge, "OPTIONS", TENANT, [PAGE, ("access-control-request-method", "GET")])
    assert "Origin" in answer.headers["vary"].split(", ")
    assert {"last-event-id", "cache-control"} <= set(answer.headers["access-control-allow-headers"].split(","))


@pytest.mark.parametrize(
    ("sent", "challenge"),
    [
        ([], 'Bearer realm="tenantmesh"'),
        ([("authorization", "Bearer forged")], 'Bearer realm="tenantmesh", error="invalid_token"'),
    ],
)
async def test_a_401_says_how_to_sign_in(edge: Edge, sent: Headers, challenge: str) -> None:
    answer = await call(edge, "GET", "/api/v1/tenants/unknown-caller", sent)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, challenge)
    assert answer.json()["details"][0]["reason"] == "CREDENTIALS_INVALID"
    for path in (TENANT, "/api/v1/tenants/missing"):
        assert "www-authenticate" not in (await call(edge, "GET", path, sent)).headers


@pytest.mark.parametrize("path", [TENANT, "/api/v1/tenants", "/api/v1/tenants/missing", "/.well-known/jwks.json"])
async def test_head_has_the_headers_of_get_and_no_body(edge: Edge, path: str) -> None:
    def both() -> list[tuple[int, str | None, str | None, bytes]]:
        """Asks over one connection: a body of HEAD would be read as the start of the next answer."""
        connection = HTTPConnection("127.0.0.1", edge.rest.port, timeout=10)
        seen = []
        try:
            for method in ("HEAD", "GET", "HEAD", "GET"):
                connection.request(method, path, headers={"accept-encoding": "gzip" if method == "HEAD" else ""})
                with connection.getresponse() as response:
                    read = response.read()
                    headers = response.getheader("content-type"), response.getheader("content-length")
                    seen.append((response.status, *headers, read))
        finally:
            connection.close()
        return seen

    first, got, again, _ = await asyncio.to_thread(both)
    assert first == again == (*got[:3], b"")
    assert json.loads(got[3])


@pytest.mark.parametrize("host", [b"", b"host: acme.example.com\r\n"])
async def test_older_http_is_served(edge: Edge, host: bytes) -> None:
    """Load balancers probe, and nginx and ab call, with HTTP/1.0."""
    assert (await raw(edge, b"GET /healthz HTTP/1.0\r\n" + host + b"\r\n")).startswith(b"HTTP/1.0 200 OK")
    answer = await raw(edge, f"GET {TENANT} HTTP/1.0\r\n".encode() + host + b"\r\n")
    assert b'"id":"acme"' in answer
    told = edge.upstream.last.one("x-forwarded-host")
    assert told == ("acme.example.com" if host else "no-host.invalid")


async def test_a_request_without_a_host_is_told_so(edge: Edge) -> None:
    assert b"no host header" in await raw(edge, f"GET {TENANT} HTTP/1.1\r\nconnection: close\r\n\r\n".encode())
