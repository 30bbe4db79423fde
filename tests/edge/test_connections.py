"""Connections that send nothing, and calls that are given up: other callers are served all the same."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tenantmesh.deploy.envoy import EdgeLimits, EdgeSettings
from tenantmesh.tenant.v1 import tenant_service_pb2, tenant_service_pb2_grpc
from tests.edge.client import Rest
from tests.edge.conftest import serving, until_healthy
from tests.edge.test_health import settings_for
from tests.edge.upstream import Upstream, running

SOON = timedelta(seconds=1)
GROUP = 30
STREAMS = 40
ATTACKER, OTHER = ("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "198.51.100.2")
PROBE = b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def edge_with(folder: Path, limits: EdgeLimits, upstream: Upstream) -> AsyncIterator[EdgeSettings]:
    settings = settings_for(upstream, limits=limits)
    async with serving(settings, folder) as process:
        await until_healthy(Rest(settings.port), process)
        yield settings


@asynccontextmanager
async def silent(port: int, count: int) -> AsyncIterator[None]:
    """That many connections from 127.0.0.1 which send nothing, those that the edge closes included."""
    opened = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.1", 0)) for _ in range(count)]
    try:
        yield
    finally:
        for _, writer in opened:
            writer.close()


async def served(port: int, address: str) -> bool:
    """Whether a newcomer from that address is answered."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writer.write(PROBE)
        answer = await reader.read(12)
        writer.close()
        return answer.startswith(b"HTTP/1.1 200")
    return False


async def is_served_in_time(port: int, address: str) -> bool:
    """Whether a newcomer is answered once silent connections have had their time, and some more on a busy machine."""
    for _ in range(200):
        if await served(port, address):
            return True
        await asyncio.sleep(0.1)
    return False


async def test_silent_connections_of_one_address_leave_others_their_place(tmp_path: Path) -> None:
    limits = EdgeLimits(address_groups=4, group_connections=GROUP, connections=4 * GROUP, idle_connection=SOON)
    async with (
        running() as upstream,
        edge_with(tmp_path, limits, upstream) as settings,
        silent(settings.port, 4 * GROUP),
    ):
        others = [await served(settings.port, f"127.0.0.{number}") for number in range(2, 26)]
        # Those whose addresses share the group wait with it; every fourth in the mean.
        assert others.count(True) >= len(others) // 3
        assert await is_served_in_time(settings.port, "127.0.0.1")


async def test_silent_connections_end_soon_where_all_callers_share_their_number(tmp_path: Path) -> None:
    limits = EdgeLimits(address_groups=1, connections=GROUP, silent_connection=SOON)
    async with (
        running() as upstream,
        edge_with(tmp_path, limits, upstream) as settings,
        silent(settings.port, GROUP),
    ):
        assert await is_served_in_time(settings.port, "127.0.0.1")


async def test_a_connection_with_a_call_under_way_is_not_idle(tmp_path: Path) -> None:
    limits = EdgeLimits(address_groups=1, idle_connection=SOON)
    async with running() as upstream, edge_with(tmp_path, limits, upstream) as settings:
        reader, writer = await asyncio.open_connection("127.0.0.1", settings.port)
        writer.write(b"GET /api/v1/tenants/slow HTTP/1.1\r\nhost: a\r\n\r\n")
        asyncio.get_running_loop().call_later(3 * SOON.total_seconds(), upstream.released.set)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


def lonely_channel(target: str) -> grpc.aio.Channel:
    """A channel with a connection of its own, which others of this process would share."""
    return grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])


async def give_up(target: str, stop: asyncio.Event) -> None:
    """Calls with deadlines that none can meet, until stopped."""
    async with lonely_channel(target) as channel:
        stub = tenant_service_pb2_grpc.TenantServiceStub(channel)

        async def again() -> None:
            while not stop.is_set():
                request = tenant_service_pb2.GetTenantRequest(id="stubborn")
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await stub.GetTenant(request, timeout=random.uniform(0.001, 0.010), metadata=[ATTACKER])

        await asyncio.gather(*(again() for _ in range(16)))


async def test_calls_that_one_caller_gives_up_fail_no_call_of_another(tmp_path: Path) -> None:
    """The service refuses streams while it still counts those that were given up; the edge sends the call again."""
    stop = asyncio.Event()
    async with running(streams=STREAMS) as upstream:
        limits = EdgeLimits(address_groups=1, address_rate=200, address_burst=50, upstream_streams=STREAMS // 2)
        settings = settings_for(upstream, limits=limits, trusted_hops=1)
        async with serving(settings, tmp_path) as process:
            await until_healthy(Rest(settings.port), process)
            target = f"127.0.0.1:{settings.port}"
            attack = asyncio.ensure_future(give_up(target, stop))
            async with lonely_channel(target) as channel:
                stub = tenant_service_pb2_grpc.TenantServiceStub(channel)
                try:
                    for _ in range(60):
                        assert await stub.GetTenant(
                            tenant_service_pb2.GetTenantRequest(id="acme"), timeout=20, metadata=[OTHER]
                        )
                finally:
                    stop.set()
                    await attack


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adress_rate=5", "no such limit; the limits are request_body"),
        ("address_rate", "write address_rate=, and a number"),
        ("address_rate=fast", "write address_rate=, and a number"),
        ("address_rate=0", "above zero"),
        ("idle_connection=soon", "a duration, such as 500ms or 10s"),
        ("idle_connection=0s", "above zero"),
    ],
)
def test_a_limit_that_is_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EdgeLimits().changed([text])


def test_limits_are_changed_by_name() -> None:
    changed = EdgeLimits().changed(["address_rate=20", "idle_connection=1m"])
    assert (changed.address_rate, changed.idle_connection) == (20, timedelta(minutes=1))
