"""Envoy refuses what is beyond each limit of a connection or a stream, and counts it where operations.md says.

One edge with small limits. Each test has connections of its own, from an address of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import h2.connection
import h2.settings
import pytest
import pytest_asyncio

from tenantmesh.deploy.envoy import EdgeLimits, EdgeSettings
from tests.edge.client import Rest
from tests.edge.conftest import serving, until_healthy
from tests.edge.test_health import lonely_edge, settings_for, until
from tests.edge.test_strangers import reason
from tests.edge.upstream import running
from tests.ports import free_port

LIMITS = EdgeLimits(
    address_groups=2,
    group_connections=20,
    request_headers=timedelta(seconds=1),
    idle_connection=timedelta(seconds=1),
    idle_stream=timedelta(seconds=1),
    streams_per_connection=30,
    unread_frames=40,
    unread_control_frames=10,
    early_cancels=12,
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PING = b"\0\0\x08\6\0\0\0\0\0" + b"\0" * 8
WATCH = b"GET /api/v1/tenants:watch HTTP/1.1\r\nhost: a\r\naccept: application/x-ndjson\r\n\r\n"
ADDRESSES = itertools.count(1)
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
ROWS = [
    row.split("|")[1:-1]
    for row in re.findall(r"^\| `\w+`.*\|$", PAGE.partition("| Envoy counts |")[2].partition("\n\n")[0], re.MULTILINE)
]
"""The table of limits: each with its default, what happens beyond it, and Envoy's counters of that."""


@dataclass(frozen=True)
class Bounded:
    """The edge, and where its counters are."""

    settings: EdgeSettings

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a connection from an address that nobody else has."""
        place = f"127.0.4.{next(ADDRESSES)}", 0
        reader, writer = await asyncio.open_connection("127.0.0.1", self.settings.port, local_addr=place)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def counters(self) -> dict[str, str]:
        """Return what Envoy has counted, by name."""
        rest = Rest(self.settings.admin_port or 0)
        text = (await asyncio.to_thread(rest.get, "/stats")).body.decode()
        return dict(line.rsplit(": ", 1) for line in text.splitlines() if ": " in line)

    async def counted(self, name: str) -> int:
        """Return what Envoy has counted under this name."""
        return int((await self.counters()).get(name, "0"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bounded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bounded]:
    folder = tmp_path_factory.mktemp("bounded")
    async with running() as upstream:
        settings = settings_for(upstream, limits=LIMITS, admin_port=free_port())
        async with serving(settings, folder) as process:
            await until_healthy(Rest(settings.port), process)
            yield Bounded(settings)


async def all_that_comes(reader: asyncio.StreamReader) -> bytes:
    """Read until the edge closes the connection, however it does so."""
    came = b""
    async with asyncio.timeout(10):
        while True:
            try:
                more = await reader.read(65_536)
            except ConnectionResetError:
                return came
            if not more:
                return came
            came += more


async def test_headers_that_do_not_end_are_408(bounded: Bounded) -> None:
    async with bounded.connection() as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-half")
        assert (await all_that_comes(reader)).startswith(b"HTTP/1.1 408")
        assert await bounded.counted("http.edge.downstream_rq_header_timeout") == 1


async def test_a_connection_without_a_call_is_closed(bounded: Bounded) -> None:
    before = await bounded.counted("http.edge.downstream_cx_idle_timeout")
    async with bounded.connection() as (reader, _):
        assert await all_that_comes(reader) == b""
        assert await bounded.counted("http.edge.downstream_cx_idle_timeout") > before


async def test_a_stream_that_is_silent_on_both_sides_ends(bounded: Bounded) -> None:
    async with bounded.connection() as (reader, writer):
        writer.write(WATCH)
        async with asyncio.timeout(10):
            assert await reader.readline() == b"HTTP/1.1 504 Gateway Timeout\r\n"
        assert await bounded.counted("http.edge.downstream_rq_idle_timeout") == 1


async def test_callers_are_told_how_many_streams_a_connection_has(bounded: Bounded) -> None:
    async with bounded.connection() as (reader, writer):
        client = h2.connection.H2Connection()
        client.initiate_connection()
        writer.write(client.data_to_send())
        client.receive_data(await reader.read(65_536))
        assert client.remote_settings.max_concurrent_streams == LIMITS.streams_per_connection


async def test_a_flood_of_frames_that_must_be_answered_ends_the_connection(bounded: Bounded) -> None:
    async with bounded.connection() as (reader, writer):
        writer.write(PREFACE + SETTINGS + PING * (LIMITS.unread_frames - 5))
        await all_that_comes(reader)
        assert await bounded.counted("http2.outbound_control_flood") == 1


async def test_who_reads_no_answers_loses_the_connection(bounded: Bounded) -> None:
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.bind((f"127.0.4.{next(ADDRESSES)}", 0))
    plain.setblocking(False)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", bounded.settings.port))
    client = h2.connection.H2Connection()
    client.initiate_connection()
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
    client.increment_flow_control_window(2**30)
    for _ in range(8):
        fixed = {":method": "GET", ":scheme": "http", ":authority": "mesh", ":path": "/api/v1/tenants/big"}
        client.send_headers(client.get_next_available_stream_id(), list(fixed.items()), end_stream=True)
    try:
        await asyncio.get_running_loop().sock_sendall(plain, client.data_to_send())
        async with asyncio.timeout(10):
            while await bounded.counted("http2.outbound_flood") == 0:
                await asyncio.sleep(0.05)
    finally:
        plain.close()
    assert await bounded.counted("http2.outbound_flood") == 1


async def test_who_cancels_its_calls_at_once_loses_the_connection(bounded: Bounded) -> None:
    async with bounded.connection() as (reader, writer):
        client = h2.connection.H2Connection()
        client.initiate_connection()
        for _ in range(2 * LIMITS.early_cancels):
            stream = client.get_next_available_stream_id()
            fixed = {":method": "GET", ":scheme": "http", ":authority": "mesh", ":path": "/api/v1/tenants/slow"}
            client.send_headers(stream, list(fixed.items()), end_stream=True)
            client.reset_stream(stream)
        writer.write(client.data_to_send())
        await all_that_comes(reader)
        assert await bounded.counted("http.edge.downstream_rq_too_many_premature_resets") == 1


async def test_connections_beyond_those_of_a_group_are_counted(bounded: Bounded) -> None:
    place = f"127.0.4.{next(ADDRESSES)}", 0
    port, opened = bounded.settings.port, LIMITS.group_connections + 5
    writers = [(await asyncio.open_connection("127.0.0.1", port, local_addr=place))[1] for _ in range(opened)]
    assert await bounded.counted("connection_limit.edge.limited_connections") >= 5
    for writer in writers:
        writer.close()


def test_every_limit_is_explained() -> None:
    named = [name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(EdgeLimits.__dataclass_fields__)


async def test_every_counter_of_a_limit_exists(bounded: Bounded) -> None:
    exist = await bounded.counters()
    for counter in (name for row in ROWS for name in re.findall(r"`(\S+)`", row[3])):
        pattern = re.escape(counter).replace("…", r"[\w.:]+")
        assert any(re.fullmatch(pattern, name) or name.endswith(counter.lstrip("…")) for name in exist), counter


async def test_the_caller_that_called_least_recently_is_forgotten(tmp_path: Path) -> None:
    limits = EdgeLimits(address_groups=1, address_rate=1, address_burst=2, counted_callers=3)
    async with running() as upstream:
        settings = settings_for(upstream, limits=limits, trusted_hops=1)
        async with serving(settings, tmp_path) as process:
            rest = Rest(settings.port)
            await until_healthy(rest, process)

            async def status(number: int) -> int:
                caller = ("x-forwarded-for", f"198.51.100.{number}")
                return (await asyncio.to_thread(rest.get, "/api/v1/tenants/acme", [caller])).status

            assert [await status(1) for _ in range(3)] == [200, 200, 429]
            assert [await status(number) for number in range(2, 6)] == [200] * 4
            assert await status(1) == 200


async def test_without_memory_calls_are_refused_with_a_reason(tmp_path: Path) -> None:
    async with running() as upstream:
        settings = settings_for(upstream, limits=EdgeLimits(address_groups=1, heap=1024 * 1024))
        async with lonely_edge(tmp_path, settings) as rest:
            answer = await until(rest, 503, "/api/v1/tenants/acme")
            assert reason(answer) == "EDGE_OVERLOADED"
