"""The example internal service: it imports the library and the stubs, and nothing else of TenantMesh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceServicer

from interceptors import current_call


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

    def ForgottenNote(
        self, request: pb.ForgottenNoteRequest, context: grpc.ServicerContext
    ) -> pb.ForgottenNoteResponse:
        return pb.ForgottenNoteResponse()


def _answer(request: pb.GetNoteRequest) -> pb.GetNoteResponse:
    call = current_call()
    if request.text == "boom":
        raise ValueError("postgresql://app:hunter2@db/tenantmesh")
    return pb.GetNoteResponse(text=request.text, tenant_id=str(call.tenant_id), caller=call.caller.subject)
