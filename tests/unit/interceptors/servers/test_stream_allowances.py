"""Streams end with their allowance, on both servers, whatever their handlers do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server

from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.streams import until_ended
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


class Exporting(Notes):
    """Sends files through `until_ended`; may charge for one by itself."""

    closed = False

    async def ExportNotes(self, request: pb.ExportNotesRequest, context: Any) -> Any:
        async for message in until_ended(self._files(request.count), _told):
            yield message

    async def _files(self, count: int) -> AsyncGenerator[pb.ExportNotesResponse, None]:
        try:
            for number in range(count):
                if number == 3:
                    await current_call().charge("requests", 100)
                yield pb.ExportNotesResponse(file=str(number).encode())
        finally:
            self.closed = True


class Writing(Exporting):
    """The same by `context.write`."""

    async def ExportNotes(self, request: pb.ExportNotesRequest, context: Any) -> None:
        async for message in until_ended(self._files(request.count), _told):
            await context.write(message)


def _told(error: MeshError) -> pb.ExportNotesResponse:
    return pb.ExportNotesResponse(file=f"{error.reason} {error.metadata['meter']}".encode())


REST = [("x-envoy-original-path", "/notes:export")]
ENDINGS = [
    pytest.param({"exported_notes": 2, "requests": 1000}, ["0", "1"], "exported_notes", id="of the messages"),
    pytest.param({"exported_notes": 9, "requests": 10}, ["0", "1", "2"], "requests", id="of the handler's charge"),
]


@pytest.mark.parametrize("servicer", [Exporting(), Writing()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(("limits", "files", "meter"), ENDINGS)
@pytest.mark.parametrize("rest", [True, False], ids=["rest", "grpc"])
async def test_a_caller_learns_which_allowance_ended_its_stream(
    servicer: Exporting, limits: dict[str, int | None], files: list[str], meter: str, *, rest: bool
) -> None:
    """Over REST by a last message, which is not charged: a status that follows messages is lost there."""
    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        mesh.entitle(acme, "export", limits=limits)
        target = await mesh.serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, ("owner",))) as channel:
            stub: Any = NotesServiceStub(channel)
            stream = stub.ExportNotes(pb.ExportNotesRequest(count=6), metadata=REST if rest else ())
            got: list[str] = []
            with contextlib.suppress(grpc.aio.AioRpcError):
                while (message := await stream.read()) is not grpc.aio.EOF:
                    got.append(message.file.decode())
            assert servicer.closed
            assert got == [*files, *([f"QUOTA_EXHAUSTED {meter}"] if rest else [])]
            assert await stream.code() is (CODES.OK if rest else CODES.RESOURCE_EXHAUSTED)
            await mesh.served(1)
            assert mesh.used(acme, "exported_notes") == len(files), "what was sent stays charged"


async def test_before_the_first_message_an_allowance_is_a_status_over_rest_too() -> None:
    async with TestMesh() as mesh:
        acme = mesh.add_tenant("acme")
        mesh.entitle(acme, "export", limits={"exported_notes": 0, "requests": 1000})
        target = await mesh.serve(add_NotesServiceServicer_to_server, Exporting(), pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, ("owner",))) as channel:
            stub: Any = NotesServiceStub(channel)
            assert await received(stub.ExportNotes(pb.ExportNotesRequest(count=6), metadata=REST)) == (
                0,
                CODES.RESOURCE_EXHAUSTED,
            )
