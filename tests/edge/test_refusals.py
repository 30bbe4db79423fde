"""The edge's own refusals and the services' errors have one shape: {code, message, details}."""

from __future__ import annotations

import asyncio
import http.client
from typing import Any

import pytest

from tests.edge.client import Answer, Headers
from tests.edge.conftest import Edge

TENANT = "/api/v1/tenants/acme"
OPERATIONS = f"{TENANT}/operations"
CREATE = "/api/v1/tenants/create"
OVERRIDE = f"{TENANT}/overrides/users"
WATCH = "/api/v1/tenants:watch"
WORDS = {
    "GET": "GET",
    "POST": "POST",
    "GET, HEAD": "GET and HEAD",
    "GET, HEAD, POST": "GET, HEAD and POST",
}
JSON = [("content-type", "application/json")]
TOO_LARGE = b'{"slug": "' + b"a" * 1024 * 1024 + b'"}'


async def call(edge: Edge, method: str, path: str, headers: Headers = (), body: bytes | None = None) -> Answer:
    return await asyncio.to_thread(edge.rest.call, method, path, headers, body)


def refused(answer: Answer, status: int, code: int) -> str:
    """Checks the shape and returns the message."""
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert (answer.status, body["code"], body["details"]) == (status, code, [])
    assert body["message"]
    return str(body["message"])


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code", "words"),
    [
        ("GET", "/nowhere", [], None, 404, 5, "Nothing is served"),
        ("GET", '/quoted"path', [], None, 404, 5, "Nothing is served"),
        ("GET", f"{TENANT}:unknown", [], None, 404, 5, "Nothing is served"),
        ("GET", f"{TENANT}:suspend/", [], None, 404, 5, "Nothing is served"),
        ("GET", "/api/v1/tenants/:watch", [], None, 404, 5, "Nothing is served"),
        ("OPTIONS", "*", [], None, 404, 5, "begins with /"),
        ("POST", "/tenantmesh.tenant.v1.TenantService/GetTenant", JSON, b"{}", 404, 5, "Nothing is served"),
        ("GET", f"{TENANT}?bogus=1", [], None, 400, 3, "bogus"),
        ("GET", f"{WATCH}?snapshot=true&cursor=a", [], None, 400, 3, "cursor and snapshot exclude each other"),
        ("GET", "/api/v1/tenants:resolve?slug=a&tenant_id=b", [], None, 400, 3, "exclude each other"),
        ("GET", "/api/v1/tenants?pageSize=many", [], None, 400, 3, "page_size"),
        ("GET", f"{TENANT}?tenant=a&tenant=b", [], None, 400, 3, "once"),
        ("GET", "/api/v1/tenants?tenant=a&pageSize=1&tenant=a", [], None, 400, 3, "once"),
        ("GET", f"{TENANT}?tenant=a%0d%0ax:%20y", [], None, 400, 3, "slug"),
        ("GET", f"{TENANT}?tenant=", [], None, 400, 3, "slug"),
        ("GET", f"{TENANT}?tenant", [], None, 400, 3, "slug"),
        ("GET", f"{TENANT}?tenant=a&t%65nant=b", [], None, 400, 3, "tenant is no parameter"),
        ("GET", "/api/v1/tenants/%ff", [], None, 400, 3, "UTF-8"),
        ("GET", "/api/v1/tenants/%%ff", [], None, 400, 3, "UTF-8"),
        ("GET", "/api/v1/tenants/%c0%80", [], None, 400, 3, "UTF-8"),
        ("GET", "/api/v1/tenants/a%00b", [], None, 400, 3, "such as %00"),
        ("GET", TENANT, [("x-mine", b"a\x01b")], None, 400, 3, "control character"),
        ("FOO", TENANT, [], None, 400, 3, "the method"),
        ("POST", CREATE, [*JSON, ("transfer-encoding", "gzip")], None, 501, 12, "transfer-encoding"),
        ("POST", CREATE, JSON, b'{"slug": ', 400, 3, "not valid JSON at byte 10"),
        ("POST", CREATE, JSON, b'{"slug": 1}', 400, 3, "slug"),
        *(
            ("POST", CREATE, JSON, body, 400, 3, "not valid JSON")
            for body in (b"{'slug': 'a'}", b"{slug: 1}", b'{"slug": "a",}', b'{"sl\\ug": "a"}', b'{"slug": tru}')
        ),
        ("POST", CREATE, JSON, b'{"slug": "\xff"}', 400, 3, "UTF-8"),
        ("POST", CREATE, JSON, b"[" * 10_000, 400, 3, "must be a JSON object"),
        ("POST", CREATE, JSON, b'{"slug": ' + b"[" * 10_000, 400, 3, "slug must not be a list"),
        ("PUT", OVERRIDE, JSON, b'{"value": {"static": ' + b"[" * 10_000, 400, 3, "deep"),
        ("POST", f"{TENANT}:suspend", JSON, b'{"id": "other", "reason": "r"}', 400, 3, "id is in the path"),
        ("POST", CREATE, JSON, TOO_LARGE, 413, 8, "larger"),
        ("GET", TENANT, [("x-mine", "a" * 20_000)], None, 431, 8, "headers"),
        ("POST", CREATE, [("content-type", "text/plain")], b"{}", 415, 3, "content-type"),
        ("POST", CREATE, [("content-type", "application/x-www-form-urlencoded")], b"a=b", 415, 3, "content-type"),
        ("POST", CREATE, [*JSON, ("content-encoding", "gzip")], b"{}", 415, 3, "content-encoding"),
        ("DELETE", OPERATIONS, [], None, 405, 12, "GET"),
        ("PUT", CREATE, JSON, b"{}", 405, 12, "POST"),
        ("HEAD", WATCH, [], None, 405, 12, ""),
        ("GET", TENANT, [("upgrade", "websocket"), ("connection", "upgrade")], None, 403, 7, "upgrades"),
    ],
)
async def test_the_edge_refuses_in_json(
    edge: Edge, method: str, path: str, headers: Headers, body: bytes | None, status: int, code: int, words: str
) -> None:
    arrived = len(edge.upstream.arrivals)
    answer = await call(edge, method, path, headers, body)
    if method == "HEAD":
        assert answer.status == status
    else:
        assert words in refused(answer, status, code)
    assert len(edge.upstream.arrivals) == arrived, "a refused call reached the service"


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        (OPERATIONS, "DELETE", "GET, HEAD"),
        (f"{OPERATIONS}?tenant=acme", "PATCH", "GET, HEAD"),
        (WATCH, "HEAD", "GET"),
        (CREATE, "PUT", "POST"),
        (CREATE, "GET", "POST"),
        ("/api/v1/tenants", "PUT", "GET, HEAD, POST"),
        (f"{TENANT}:suspend", "GET", "POST"),
        ("/api/v1/auth/login", "GET", "POST"),
        ("/.well-known/jwks.json", "TRACE", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_learns_the_right_ones(edge: Edge, path: str, method: str, allow: str) -> None:
    answer = await call(edge, method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert refused(answer, 405, 12) == f"This path allows only {WORDS[allow]}."


async def test_a_chunked_body_is_limited_too(edge: Edge) -> None:
    def send() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", edge.rest.port, timeout=10)
        try:
            chunks = iter([TOO_LARGE[:70_000], *[b"a" * 70_000] * 20])
            connection.request("POST", CREATE, chunks, {"content-type": "application/json"}, encode_chunked=True)
            with connection.getresponse() as response:
                return response.status, response.read()
        finally:
            connection.close()

    try:
        status, _ = await asyncio.to_thread(send)
    except ConnectionError:
        return  # the edge closed the connection before the rest was sent
    assert status == 413


async def test_the_largest_body_passes(edge: Edge) -> None:
    body = b'{"slug": "' + b"a" * (1024 * 1024 - 12) + b'"}'
    assert (await call(edge, "POST", CREATE, JSON, body)).status == 200


async def test_rich_errors_of_a_service_arrive_whole(edge: Edge) -> None:
    answer = await call(edge, "GET", "/api/v1/tenants/missing")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/json")
    body = answer.json()
    assert (body["code"], body["message"]) == (5, 'No "such" tenant.')
    details = {detail["@type"].rpartition(".")[2]: detail for detail in body["details"]}
    assert (details["ErrorInfo"]["reason"], details["ErrorInfo"]["domain"]) == ("TENANT_NOT_FOUND", "tenantmesh")
    assert details["ErrorInfo"]["metadata"] == {"source": "test"}
    assert details["BadRequest"]["fieldViolations"][0]["field"] == "slug"
    assert details["QuotaFailure"]["violations"][0]["subject"] == "tenant:acme"
    assert details["RetryInfo"]["retryDelay"] == "2.500s"


async def test_too_many_requests_is_429(edge: Edge) -> None:
    answer = await call(edge, "GET", "/api/v1/tenants/over")
    assert (answer.status, answer.json()["code"]) == (429, 8)
