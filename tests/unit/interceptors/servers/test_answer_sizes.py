"""The size of answers: the chain refuses what gRPC would refuse after it, so that callers and metrics learn why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors.testing import TestMesh
from tests.example.notes import Notes, ThreadNotes
from tests.transports import rich_status
from tests.unit.interceptors.conftest import SETTINGS, Running

MOST = 1000
FITS, TOO_LARGE = "x" * (MOST - 100), "x" * (MOST + 1)


@asynccontextmanager
async def serving(kind: Any, most: int) -> AsyncIterator[Running]:
    """The example service, whose messages may have so many bytes."""
    async with TestMesh(replace(SETTINGS, max_answer_bytes=most)) as mesh:
        servicer = Notes() if kind == "aio" else ThreadNotes()
        target = await mesh.serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR, kind=kind)
        yield Running(mesh, target, kind)


@pytest.fixture(params=["aio", "threads"])
async def small(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    async with serving(request.param, MOST) as running:
        yield running


@pytest.fixture(params=["aio", "threads"])
async def tiny(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """Messages may be as large as those of the first ten notes: tag, length, a UUID, a colon and a digit."""
    async with serving(request.param, 2 + 36 + 2) as running:
        yield running


def stub_of(running: Running) -> Any:
    return running.stub(running.mesh.token(running.mesh.add_tenant("acme"), ("owner",)))


async def refused(call: Awaitable[Any]) -> tuple[str, str, dict[str, str]]:
    """Code, reason and metadata of a refusal."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rich_status(caught.value)
    assert status is not None, f"no details: {caught.value}"
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code().name, info.reason, dict(info.metadata)


async def test_an_answer_that_is_too_large_is_refused_and_counted_as_that(small: Running) -> None:
    stub = stub_of(small)
    code, reason, metadata = await refused(stub.GetNote(pb.GetNoteRequest(text=TOO_LARGE)))
    assert (code, reason, metadata["limit"]) == ("FAILED_PRECONDITION", "ANSWER_TOO_LARGE", str(MOST))
    assert int(metadata["bytes"]) > MOST
    assert [code for _, code in await small.mesh.served(1)] == ["FAILED_PRECONDITION"]


async def test_an_answer_that_fits_is_served(small: Running) -> None:
    assert (await stub_of(small).GetNote(pb.GetNoteRequest(text=FITS))).text == FITS
    assert [code for _, code in await small.mesh.served(1)] == ["OK"]


async def test_a_stream_ends_at_a_message_that_is_too_large_and_is_counted_as_that(tiny: Running) -> None:
    stream = stub_of(tiny).WatchNotes(pb.WatchNotesRequest(count=12))
    received: list[str] = []

    async def drain() -> None:
        while (message := await stream.read()) is not grpc.aio.EOF:
            received.append(message.text[-2:])

    assert (await refused(drain()))[:2] == ("FAILED_PRECONDITION", "ANSWER_TOO_LARGE")
    assert received == [f":{number}" for number in range(10)]
    assert [code for _, code in await tiny.mesh.served(1)] == ["FAILED_PRECONDITION"]


async def test_messages_of_a_stream_are_measured_one_by_one(tiny: Running) -> None:
    answers = [message.text async for message in stub_of(tiny).WatchNotes(pb.WatchNotesRequest(count=10))]
    assert len(answers) == 10
