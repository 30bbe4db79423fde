"""Server streams over REST: each message leaves when it is made, in the form that Accept asks for."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tenantmesh.tenant.v1 import tenant_service_pb2
from tests.edge.client import Headers
from tests.edge.conftest import Edge

WATCH = "/api/v1/tenants:watch"


def event(cursor: str) -> tenant_service_pb2.WatchTenantsResponse:
    made = tenant_service_pb2.WatchTenantsResponse(cursor=cursor)
    made.result.type = tenant_service_pb2.TENANT_EVENT_TYPE_CREATED
    made.result.tenant.id = f"tenant of {cursor}"
    return made


@asynccontextmanager
async def watching(edge: Edge, accept: str, extra: Headers = ()) -> AsyncIterator[http.client.HTTPResponse]:
    opened = edge.rest.open("GET", WATCH, [("accept", accept), *extra])
    # Headers leave with the first message.
    await edge.upstream.events.put(event("1"))
    response = await asyncio.to_thread(opened.__enter__)
    try:
        yield response
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)


async def line(response: http.client.HTTPResponse) -> str:
    return (await asyncio.to_thread(response.readline)).decode().rstrip("\n")


def parsed(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value


async def test_newline_delimited_json_arrives_message_by_message(edge: Edge) -> None:
    async with watching(edge, "application/x-ndjson") as response:
        assert response.getheader("content-type") == "application/x-ndjson"
        assert parsed(await line(response))["cursor"] == "1"
        # The second is made only now: the first can't have waited for it.
        await edge.upstream.events.put(event("2"))
        second = parsed(await line(response))
        assert second["result"]["type"] == "TENANT_EVENT_TYPE_CREATED"
        assert second["result"]["tenant"]["id"] == "tenant of 2"
        await edge.upstream.events.put(None)
        assert await line(response) == ""


async def test_server_sent_events_arrive_message_by_message(edge: Edge) -> None:
    async with watching(edge, "text/event-stream") as response:
        assert response.getheader("content-type") == "text/event-stream"
        for cursor in ("1", "2"):
            if cursor != "1":
                await edge.upstream.events.put(event(cursor))
            assert await line(response) == f"id: {cursor}"
            data = await line(response)
            assert data.startswith("data: ")
            assert parsed(data.removeprefix("data: "))["cursor"] == cursor
            assert await line(response) == ""
        await edge.upstream.events.put(None)
        assert await line(response) == ""


async def test_compression_does_not_hold_messages_back(edge: Edge) -> None:
    async with watching(edge, "text/event-stream", [("accept-encoding", "gzip")]) as response:
        assert await asyncio.to_thread(response.read1, 1000)
        await edge.upstream.events.put(event("2"))
        assert await asyncio.to_thread(response.read1, 1000)
        await edge.upstream.events.put(None)


async def test_without_a_wish_a_stream_is_a_json_array(edge: Edge) -> None:
    async with watching(edge, "application/json") as response:
        assert response.getheader("content-type") == "application/json"
        await edge.upstream.events.put(None)
        assert [each["cursor"] for each in json.loads(await asyncio.to_thread(response.read))] == ["1"]


async def test_an_error_event_carries_its_details(edge: Edge) -> None:
    failed = tenant_service_pb2.WatchTenantsResponse(cursor="2")
    failed.error.code = 10
    failed.error.message = "too slow"
    async with watching(edge, "application/x-ndjson") as response:
        await line(response)
        await edge.upstream.events.put(failed)
        assert parsed(await line(response))["error"] == {"code": 10, "message": "too slow", "details": []}
        await edge.upstream.events.put(None)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson", "application/json"])
async def test_no_proxy_holds_a_stream_back(edge: Edge, accept: str) -> None:
    async with watching(edge, accept) as response:
        assert (response.getheader("cache-control"), response.getheader("x-accel-buffering")) == ("no-cache", "no")
        await edge.upstream.events.put(None)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream;q=0", "application/json"),
        ("text/event-stream; q=0.000, */*", "application/json"),
        ("text/event-stream;q=0, application/x-ndjson", "application/x-ndjson"),
        ("application/json;q=0.1, text/event-stream ; charset=utf-8 ; q=0.5", "text/event-stream"),
        ("TEXT/EVENT-STREAM", "text/event-stream"),
        ("text/event-streams", "application/json"),
    ],
)
async def test_a_weight_of_zero_refuses_a_form(edge: Edge, accept: str, kind: str) -> None:
    async with watching(edge, accept) as response:
        assert response.getheader("content-type") == kind
        await edge.upstream.events.put(None)


@pytest.mark.parametrize("query", ["", "?snapshot=true", "?cursor=old&tenant=acme", "?earliest=true&"])
async def test_a_reader_of_events_that_reconnects_resumes(edge: Edge, query: str) -> None:
    headers = [("accept", "text/event-stream"), ("last-event-id", "a+b/c")]
    await edge.upstream.events.put(None)
    answer = await asyncio.to_thread(edge.rest.get, WATCH + query, headers)
    assert answer.status == 200
    request = edge.upstream.last.request
    assert isinstance(request, tenant_service_pb2.WatchTenantsRequest)
    assert (request.WhichOneof("start"), request.cursor) == ("cursor", "a+b/c")
    assert edge.upstream.last.one("x-tenant-query") == ("acme" if "tenant" in query else None)


async def test_an_empty_last_id_starts_as_asked(edge: Edge) -> None:
    headers = [("accept", "text/event-stream"), ("last-event-id", "")]
    await edge.upstream.events.put(None)
    await asyncio.to_thread(edge.rest.get, f"{WATCH}?snapshot=true", headers)
    request = edge.upstream.last.request
    assert isinstance(request, tenant_service_pb2.WatchTenantsRequest)
    assert request.WhichOneof("start") == "snapshot"


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream", "application/json"])
async def test_a_refused_stream_is_an_ordinary_error(edge: Edge, accept: str) -> None:
    answer = await asyncio.to_thread(edge.rest.get, f"{WATCH}?cursor=expired", [("accept", accept)])
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.json()["details"][0]["reason"] == "CURSOR_EXPIRED"


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/event-stream"])
async def test_a_unary_answer_stays_json_whatever_is_asked(edge: Edge, accept: str) -> None:
    answer = await asyncio.to_thread(edge.rest.get, "/api/v1/tenants/acme", [("accept", accept)])
    assert (answer.headers["content-type"], answer.json()["id"]) == ("application/json", "acme")


async def test_a_reader_that_leaves_ends_the_call(edge: Edge) -> None:
    edge.upstream.cancelled.clear()
    async with watching(edge, "text/event-stream") as response:
        await line(response)
    assert await asyncio.wait_for(edge.upstream.cancelled.wait(), 5)
