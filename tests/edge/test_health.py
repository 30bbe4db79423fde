"""`GET /healthz`, and what callers get while a service does not serve. Each test has an edge of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.deploy.envoy import EdgeLimits, EdgeSettings
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from tests.edge.client import Answer, Rest
from tests.edge.conftest import serving
from tests.edge.upstream import Upstream, running
from tests.ports import free_port

OUTLIER_SECONDS = 1
"""Envoy looks this often whether a process is to be taken out."""
LIMITS = EdgeLimits(health_interval=timedelta(milliseconds=200), address_groups=1)


async def until(rest: Rest, status: int, path: str = "/healthz") -> Answer:
    for _ in range(100):
        answer = await asyncio.to_thread(rest.get, path)
        if answer.status == status:
            return answer
        await asyncio.sleep(0.05)
    pytest.fail(f"{path} never answered {status}")


def settings_for(upstream: Upstream, **changes: Any) -> EdgeSettings:
    settings = EdgeSettings(
        port=free_port(),
        admin_port=None,
        tenant=(f"127.0.0.1:{upstream.tenant_port}",),
        auth=(f"127.0.0.1:{upstream.auth_port}",),
        limits=LIMITS,
        access_log=True,
    )
    return replace(settings, **changes)


@asynccontextmanager
async def lonely_edge(folder: Path, settings: EdgeSettings) -> AsyncIterator[Rest]:
    """An edge of which nothing else is known than that it listens."""
    async with serving(settings, folder):
        rest = Rest(settings.port)
        for _ in range(200):
            try:
                await asyncio.to_thread(rest.get, "/healthz")
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield rest


async def test_an_edge_without_services_says_so(tmp_path: Path) -> None:
    nowhere = Upstream(tenant_port=free_port(), auth_port=free_port())
    async with lonely_edge(tmp_path, settings_for(nowhere)) as rest:
        assert (await asyncio.to_thread(rest.get, "/healthz")).status == 503
        refused = await asyncio.to_thread(rest.get, "/api/v1/tenants/acme")
        assert (refused.status, refused.headers["content-type"]) == (503, "application/json")
        assert (refused.json()["code"], refused.json()["details"]) == (14, [])
        async with grpc.aio.insecure_channel(f"127.0.0.1:{rest.port}") as channel:
            stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetTenant(tenant_service_pb2.GetTenantRequest(id="acme"), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "{" not in (caught.value.details() or "")


async def test_healthz_needs_both_services(tmp_path: Path) -> None:
    async with running() as upstream:
        settings = settings_for(upstream, auth=(f"127.0.0.1:{free_port()}",))
        async with lonely_edge(tmp_path, settings) as rest:
            await until(rest, 200, "/api/v1/tenants/acme")
            assert (await asyncio.to_thread(rest.get, "/healthz")).status == 503


async def test_a_service_that_says_not_serving_is_out_at_once_and_comes_back(tmp_path: Path) -> None:
    async with running() as upstream, lonely_edge(tmp_path, settings_for(upstream)) as rest:
        await until(rest, 200)
        await upstream.serving(False)
        await until(rest, 503)
        assert (await asyncio.to_thread(rest.get, "/api/v1/tenants/acme")).status == 503
        await upstream.serving(True)
        await until(rest, 200)
        assert (await asyncio.to_thread(rest.get, "/api/v1/tenants/acme")).status == 200


async def test_health_is_asked_at_its_own_port(tmp_path: Path) -> None:
    async with running() as upstream, running() as healths:
        ports = {"tenant_health_port": healths.tenant_port, "auth_health_port": healths.auth_port}
        async with lonely_edge(tmp_path, settings_for(upstream, **ports)) as rest:
            await until(rest, 200)
            await healths.serving(False)
            await until(rest, 503)
            await healths.serving(True)
            await upstream.serving(False)
            assert (await until(rest, 200)).status == 200


async def test_one_healthy_process_of_many_is_enough(tmp_path: Path) -> None:
    async with running() as upstream:
        tenants = (f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", f"127.0.0.1:{upstream.tenant_port}")
        async with lonely_edge(tmp_path, settings_for(upstream, tenant=tenants)) as rest:
            await until(rest, 200)
            answers = [await asyncio.to_thread(rest.get, "/api/v1/tenants/acme") for _ in range(12)]
            assert {answer.status for answer in answers} == {200}


class SlowHealth(health_pb2_grpc.HealthServicer):
    """Answers as a busy process does."""

    async def Check(self, _request: Any, _context: Any) -> health_pb2.HealthCheckResponse:
        await asyncio.sleep(0.6)
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


async def test_a_service_that_is_slow_to_say_so_serves(tmp_path: Path) -> None:
    slow = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(SlowHealth(), slow)
    ports = {f"{name}_health_port": slow.add_insecure_port("127.0.0.1:0") for name in ("tenant", "auth")}
    await slow.start()
    try:
        async with running() as upstream, lonely_edge(tmp_path, settings_for(upstream, **ports)) as rest:
            assert (await until(rest, 200)).status == 200
    finally:
        await slow.stop(None)


async def test_answers_take_no_process_out(tmp_path: Path) -> None:
    """A caller with short deadlines, for example, brings UNAVAILABLE about, and would take the service from others."""
    async with running() as upstream, running() as second:
        tenants = tuple(f"127.0.0.1:{each.tenant_port}" for each in (upstream, second))
        settings = settings_for(upstream, tenant=tenants, admin_port=free_port())
        async with lonely_edge(tmp_path, settings) as rest:
            await until(rest, 200)
            answers = [await asyncio.to_thread(rest.get, "/api/v1/tenants/away") for _ in range(30)]
            assert {answer.status for answer in answers} == {503}
            await asyncio.sleep(2 * OUTLIER_SECONDS)
            stats = (await asyncio.to_thread(Rest(settings.admin_port or 0).get, "/stats")).body.decode()
    assert "cluster.tenant.outlier_detection.ejections_enforced_total: 0\n" in stats


def impatient(folder: Path) -> Path:
    """The contract, in which no answer may take longer than a second."""
    contract = descriptor_pb2.FileDescriptorSet.FromString(EdgeSettings().descriptors.read_bytes())
    for method in (method for file in contract.file for service in file.service for method in service.method):
        method.options.Extensions[policy_pb2.method].max_timeout.FromSeconds(1)
    path = folder / "impatient.binpb"
    path.write_bytes(contract.SerializeToString())
    return path


async def test_a_half_sent_body_ends_but_a_silent_stream_lives(tmp_path: Path) -> None:
    async with running() as upstream:
        settings = settings_for(upstream, descriptors=impatient(tmp_path))
        async with lonely_edge(tmp_path, settings) as rest:
            await until(rest, 200)
            assert (await half_sent(rest.port)).startswith(b"HTTP/1.1 408")
            await asyncio.to_thread(read_after_silence, rest, upstream.events, asyncio.get_running_loop())


async def half_sent(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"POST /api/v1/tenants/create HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: 100\r\n\r\n{")
        await writer.drain()
        return await asyncio.wait_for(reader.read(100), 10)
    finally:
        writer.close()
        await writer.wait_closed()


def read_after_silence(
    rest: Rest,
    events: asyncio.Queue[tenant_service_pb2.WatchTenantsResponse | None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    """The stream says nothing for longer than a REST body may take."""
    first, second = (tenant_service_pb2.WatchTenantsResponse(cursor=cursor) for cursor in ("1", "2"))
    loop.call_soon_threadsafe(events.put_nowait, first)
    with rest.open("GET", "/api/v1/tenants:watch", [("accept", "application/x-ndjson")]) as response:
        assert b'"1"' in response.readline()
        loop.call_soon_threadsafe(loop.call_later, 4, events.put_nowait, second)
        assert b'"2"' in response.readline()
        loop.call_soon_threadsafe(events.put_nowait, None)
        assert response.readline() == b""
