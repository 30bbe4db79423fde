"""The bounds of a connection at the ports of a service, as strangers meet them who get past the edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import h2.connection
import pytest
import pytest_asyncio

from tenantmesh.runtime.health import Health
from tenantmesh.runtime.server import Application, make_server
from tenantmesh.runtime.settings import ServerSettings
from tests.ports import free_port

STREAMS = 7
HANDSHAKE = timedelta(seconds=1)


@pytest_asyncio.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    number = free_port()
    settings = ServerSettings(listen=f"127.0.0.1:{number}", handshake_timeout=HANDSHAKE, max_concurrent_streams=STREAMS)
    health = Health({})
    await health.start()
    server = make_server(Application(services=[], health=health), settings)
    await server.start()
    yield number
    await server.stop(None)
    await health.close()


@pytest.mark.parametrize("said", [b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=["nothing", "half a handshake"])
async def test_a_handshake_that_does_not_end_ends_the_connection(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    async with asyncio.timeout(10):
        await reader.read()
    assert reader.at_eof()
    writer.close()


async def test_callers_are_told_how_many_calls_a_connection_has(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = h2.connection.H2Connection()
    client.initiate_connection()
    writer.write(client.data_to_send())
    client.receive_data(await reader.read(65_536))
    assert client.remote_settings.max_concurrent_streams == STREAMS
    writer.close()
