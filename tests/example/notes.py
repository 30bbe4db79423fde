"""The example internal service: it imports the library and the stubs, and nothing else of TenantMesh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceServicer

from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.errors import InvalidArgument, ResourceExhausted


class Notes(NotesServiceServicer):
    """Serves notes on grpc.aio. Not a line here is about who may call."""

    async def GetNote(
        self, request: pb.GetNoteRequest, context: grpc.aio.ServicerContext[pb.GetNoteRequest, pb.GetNoteResponse]
    ) -> pb.GetNoteResponse:
        if request.text == "abort":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such note")
        if request.text == "code":
            context.set_code(grpc.StatusCode.NOT_FOUND)
        return _answer(request)

    async def WatchNotes(
        self,
        request: pb.WatchNotesRequest,
        context: grpc.aio.ServicerContext[pb.WatchNotesRequest, AsyncIterator[pb.WatchNotesResponse]],
    ) -> AsyncIterator[pb.WatchNotesResponse]:
        for number in range(request.count):
            yield pb.WatchNotesResponse(text=f"{current_call().tenant_id}:{number}")

    async def ImportNotes(
        self,
        request_iterator: AsyncIterator[pb.ImportNotesRequest],
        context: grpc.aio.ServicerContext[AsyncIterator[pb.ImportNotesRequest], pb.ImportNotesResponse],
    ) -> pb.ImportNotesResponse:
        return pb.ImportNotesResponse(count=len([note async for note in request_iterator]))

    async def EchoNotes(
        self,
        request_iterator: AsyncIterator[pb.EchoNotesRequest],
        context: grpc.aio.ServicerContext[AsyncIterator[pb.EchoNotesRequest], AsyncIterator[pb.EchoNotesResponse]],
    ) -> AsyncIterator[pb.EchoNotesResponse]:
        async for note in request_iterator:
            yield pb.EchoNotesResponse(text=note.text)

    async def AddNote(
        self, request: pb.AddNoteRequest, context: grpc.aio.ServicerContext[pb.AddNoteRequest, pb.AddNoteResponse]
    ) -> pb.AddNoteResponse:
        _misbehave(request.text)
        return pb.AddNoteResponse(plan=current_call().entitlements.plan_id)

    async def ExportNotes(
        self,
        request: pb.ExportNotesRequest,
        context: grpc.aio.ServicerContext[pb.ExportNotesRequest, AsyncIterator[pb.ExportNotesResponse]],
    ) -> AsyncIterator[pb.ExportNotesResponse]:
        for number in range(request.count):
            yield _file(request, number)

    async def UploadNotes(
        self,
        request_iterator: AsyncIterator[pb.UploadNotesRequest],
        context: grpc.aio.ServicerContext[AsyncIterator[pb.UploadNotesRequest], AsyncIterator[pb.UploadNotesResponse]],
    ) -> AsyncIterator[pb.UploadNotesResponse]:
        async for note in request_iterator:
            _misbehave(note.text)
            yield pb.UploadNotesResponse(text=note.text)

    async def SummarizeNotes(
        self,
        request: pb.SummarizeNotesRequest,
        context: grpc.aio.ServicerContext[pb.SummarizeNotesRequest, pb.SummarizeNotesResponse],
    ) -> pb.SummarizeNotesResponse:
        words = request.text.split()
        await current_call().charge("words", len(words))
        _misbehave(request.text)
        return pb.SummarizeNotesResponse(words=len(words))

    async def ForgottenNote(
        self,
        request: pb.ForgottenNoteRequest,
        context: grpc.aio.ServicerContext[pb.ForgottenNoteRequest, pb.ForgottenNoteResponse],
    ) -> pb.ForgottenNoteResponse:
        return pb.ForgottenNoteResponse()


class ThreadNotes(NotesServiceServicer):
    """The same on the thread-pool grpc.server."""

    def GetNote(self, request: pb.GetNoteRequest, context: grpc.ServicerContext) -> pb.GetNoteResponse:
        if request.text == "abort":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such note")
        if request.text == "code":
            context.set_code(grpc.StatusCode.NOT_FOUND)
        return _answer(request)

    def WatchNotes(
        self, request: pb.WatchNotesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchNotesResponse]:
        for number in range(request.count):
            yield pb.WatchNotesResponse(text=f"{current_call().tenant_id}:{number}")

    def ImportNotes(
        self, request_iterator: Iterator[pb.ImportNotesRequest], context: grpc.ServicerContext
    ) -> pb.ImportNotesResponse:
        return pb.ImportNotesResponse(count=len(list(request_iterator)))

    def EchoNotes(
        self, request_iterator: Iterator[pb.EchoNotesRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.EchoNotesResponse]:
        for note in request_iterator:
            yield pb.EchoNotesResponse(text=note.text)

    def AddNote(self, request: pb.AddNoteRequest, context: grpc.ServicerContext) -> pb.AddNoteResponse:
        _misbehave(request.text)
        return pb.AddNoteResponse(plan=current_call().entitlements.plan_id)

    def ExportNotes(
        self, request: pb.ExportNotesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExportNotesResponse]:
        for number in range(request.count):
            yield _file(request, number)

    def UploadNotes(
        self, request_iterator: Iterator[pb.UploadNotesRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.UploadNotesResponse]:
        for note in request_iterator:
            _misbehave(note.text)
            yield pb.UploadNotesResponse(text=note.text)

    def SummarizeNotes(
        self, request: pb.SummarizeNotesRequest, context: grpc.ServicerContext
    ) -> pb.SummarizeNotesResponse:
        words = request.text.split()
        current_call().charge_blocking("words", len(words))
        _misbehave(request.text)
        return pb.SummarizeNotesResponse(words=len(words))

    def ForgottenNote(
        self, request: pb.ForgottenNoteRequest, context: grpc.ServicerContext
    ) -> pb.ForgottenNoteResponse:
        return pb.ForgottenNoteResponse()


def _answer(request: pb.GetNoteRequest) -> pb.GetNoteResponse:
    call = current_call()
    if request.text == "boom":
        raise ValueError("postgresql://app:hunter2@db/tenantmesh")
    return pb.GetNoteResponse(text=request.text, tenant_id=str(call.tenant_id), caller=call.caller.subject)


def _file(request: pb.ExportNotesRequest, number: int) -> pb.ExportNotesResponse:
    if request.fail_after and number == request.fail_after:
        raise ValueError("the disk is full")
    return pb.ExportNotesResponse(file=b"a note")


def _misbehave(text: str) -> None:
    """Fails in the way that the text asks for."""
    if text == "boom":
        raise ValueError("postgresql://app:hunter2@db/tenantmesh")
    if text == "full":
        raise ResourceExhausted("LIMIT_REACHED", "There are too many notes. Delete some.")
    if text == "wrong":
        raise InvalidArgument("INVALID_FIELD", "Correct the text.")
