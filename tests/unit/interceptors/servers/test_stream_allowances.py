"""Streams end with their allowance, on both servers, whatever their handlers do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import add_NotesServiceServicer_to_server

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.testing import TestMesh
from tests.example.notes import Notes, ThreadNotes

CODES = grpc.StatusCode


class Deaf(Notes):
    """Takes every error for the end of its stream."""

    async def UploadNotes(self, request_iterator: Any, context: Any) -> Any:
        try:
            async for note in request_iterator:
                yield pb.UploadNotesResponse(text=note.text)
        except MeshError:
            return


class Manual(Notes):
    """Reads and writes by the context, and takes every error for the end of its stream."""

    async def UploadNotes(self, request_iterator: Any, context: Any) -> None:
        try:
            while (note := await context.read()) is not grpc.aio.EOF:
                await context.write(pb.UploadNotesResponse(text=note.text))
        except MeshError:
            return


class DeafThread(ThreadNotes):
    """The same on the thread-pool server."""

    def UploadNotes(self, request_iterator: Any, context: Any) -> Any:
        try:
            for note in request_iterator:
                yield pb.UploadNotesResponse(text=note.text)
        except MeshError:
            return


async def received(stream: Any) -> tuple[int, grpc.StatusCode]:
    """How many messages came, and how the stream ended."""
    count = 0
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for _ in stream:
            count += 1
    return count, await stream.code()


@pytest.mark.parametrize("servicer", [Deaf(), Manual(), DeafThread()], ids=lambda each: type(each).__name__)
async def test_a_stream_ends_with_its_allowance_whatever_its_handler_does(servicer: Any) -> None:
    async def notes() -> AsyncIterator[pb.UploadNotesRequest]:
        for _ in range(9):
            yield pb.UploadNotesRequest(text="a")

    kind: Any = "threads" if isinstance(servicer, DeafThread) else "aio"
    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        mesh.entitle(acme, limits={"notes": 4, "requests": None})
        target = await mesh.serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR, kind=kind)
        async with mesh.client(target, token=mesh.token(acme, ("owner",))) as channel:
            method: Any = channel.stream_stream(
                "/notes.v1.NotesService/UploadNotes",
                request_serializer=pb.UploadNotesRequest.SerializeToString,
                response_deserializer=pb.UploadNotesResponse.FromString,
            )
            count, code = await received(method(notes()))
    assert (count, code) == (4, CODES.RESOURCE_EXHAUSTED)
