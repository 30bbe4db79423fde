"""The size of requests: the chain refuses what is beyond its limit, so that callers and metrics learn why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors.testing import TestMesh
from tests.example.notes import Notes, ThreadNotes
from tests.unit.interceptors.conftest import SETTINGS, Running
from tests.unit.interceptors.servers.test_answer_sizes import refused, stub_of

MOST = 1000
FITS, TOO_LARGE = "x" * (MOST - 3), "x" * (MOST - 2)  # a tag and a length of two bytes come before the text
BEYOND_GRPC = "x" * 2 * MOST
"""What the server's own limit refuses, before the chain sees it."""


@pytest.fixture(params=["aio", "threads"])
async def small(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """The example service, whose requests may have 1,000 bytes."""
    async with TestMesh(replace(SETTINGS, max_request_bytes=MOST)) as mesh:
        servicer = Notes() if request.param == "aio" else ThreadNotes()
        target = await mesh.serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR, kind=request.param)
        yield Running(mesh, target, request.param)


async def code_of(running: Running) -> str:
    """The code that the one call was counted with."""
    return (await running.mesh.served(1))[0][1]


def imported(stub: Any, *texts: str) -> Any:
    async def requests() -> AsyncIterator[pb.ImportNotesRequest]:
        for text in texts:
            yield pb.ImportNotesRequest(text=text)

    return stub.ImportNotes(requests())


async def echoed(stub: Any, *texts: str) -> list[str]:
    async def requests() -> AsyncIterator[pb.EchoNotesRequest]:
        for text in texts:
            yield pb.EchoNotesRequest(text=text)

    return [answer.text async for answer in stub.EchoNotes(requests())]


async def test_a_request_that_is_too_large_is_refused_and_counted_as_that(small: Running) -> None:
    code, reason, metadata = await refused(stub_of(small).GetNote(pb.GetNoteRequest(text=TOO_LARGE)))
    assert (code, reason) == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE")
    assert metadata == {"bytes": str(MOST + 1), "limit": str(MOST)}
    assert await code_of(small) == "INVALID_ARGUMENT"


async def test_a_request_that_fits_is_served(small: Running) -> None:
    assert (await stub_of(small).GetNote(pb.GetNoteRequest(text=FITS))).text == FITS
    assert await code_of(small) == "OK"


async def test_a_message_of_a_stream_that_is_too_large_ends_it_and_is_counted_as_that(small: Running) -> None:
    code, reason, _ = await refused(imported(stub_of(small), FITS, TOO_LARGE))
    assert (code, reason) == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE")
    assert await code_of(small) == "INVALID_ARGUMENT"


async def test_a_message_of_a_conversation_that_is_too_large_ends_it_too(small: Running) -> None:
    assert (await refused(echoed(stub_of(small), FITS, TOO_LARGE)))[:2] == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE")
    assert await code_of(small) == "INVALID_ARGUMENT"


async def test_messages_of_a_stream_are_measured_one_by_one(small: Running) -> None:
    assert (await imported(stub_of(small), FITS, FITS, FITS)).count == 3


async def test_a_request_beyond_the_limit_of_grpc_itself_is_not_counted_as_malformed(small: Running) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub_of(small).GetNote(pb.GetNoteRequest(text=BEYOND_GRPC))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await code_of(small) == "CANCELLED", "gRPC ended the call, and tells the links no more than that"


async def test_a_client_that_goes_away_before_its_message_has_cancelled(small: Running) -> None:
    channel: Any = small.channel(small.mesh.token(small.mesh.add_tenant("gone"), ("owner",)))
    async with asyncio.timeout(20):
        while not small.mesh.observed:  # a call that is cancelled before it reaches the server is none
            call = channel.stream_unary("/notes.v1.NotesService/GetNote")(_never())
            await asyncio.sleep(0.1)
            call.cancel()
            await asyncio.sleep(0.4)
    assert {code for _, code in small.mesh.observed} == {"CANCELLED"}


async def _never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""
