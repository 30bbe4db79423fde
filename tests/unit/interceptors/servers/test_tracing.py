"""One trace over several services, on both kinds of server, and what is carried without a tracer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from notes.v1 import notes_service_pb2 as pb
from notes.v1.notes_service_pb2_grpc import NotesServiceStub, add_NotesServiceServicer_to_server
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, get_current_span

from tenantmesh.interceptors import ChainPorts, Credential, channel, current_call, thread_channel
from tenantmesh.interceptors.backends.memory.sources import MemoryTenantSource
from tenantmesh.interceptors.client import outgoing
from tenantmesh.interceptors.records import CallTracer
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.interceptors.testing import TestMesh
from tenantmesh.runtime.telemetry.spans import CallSpans
from tests.example.notes import Notes, ThreadNotes
from tests.unit.interceptors.conftest import SETTINGS

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLERS = [("traceparent", f"00-{TRACE}-{PARENT}-01"), ("tracestate", "vendor=value")]


class TracedMesh(TestMesh):
    """A mesh whose chains have a tracer."""

    tracer: CallTracer | None = None

    def ports(self) -> ChainPorts:
        return replace(super().ports(), tracer=self.tracer)


class Asking(Notes):
    """Answers GetNote with what another service was sent, and with the span that is current."""

    def __init__(self, opened: grpc.aio.Channel) -> None:
        self._stub: Any = NotesServiceStub(opened)

    async def GetNote(self, request: pb.GetNoteRequest, context: Any) -> pb.GetNoteResponse:
        if request.text:
            return pb.GetNoteResponse(text=sent_to(context))
        answer = await self._stub.GetNote(pb.GetNoteRequest(text="leaf"))
        return pb.GetNoteResponse(text=answer.text, caller=current_span())


class ThreadAsking(ThreadNotes):
    """The same in a thread of its own."""

    def __init__(self, opened: grpc.Channel) -> None:
        self._stub: Any = NotesServiceStub(opened)

    def GetNote(self, request: pb.GetNoteRequest, context: Any) -> pb.GetNoteResponse:
        if request.text:
            return pb.GetNoteResponse(text=sent_to(context))
        answer = self._stub.GetNote(pb.GetNoteRequest(text="leaf"))
        return pb.GetNoteResponse(text=answer.text, caller=current_span())


def sent_to(context: Any) -> str:
    metadata = dict(context.invocation_metadata())
    return f"{metadata.get('traceparent', '')} {metadata.get('tracestate', '')}"


def current_span() -> str:
    return f"{get_current_span().get_span_context().span_id:016x}"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.shutdown()


@pytest.fixture
def tracer(exported: InMemorySpanExporter) -> CallSpans:
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return CallSpans(provider.get_tracer("test"))


async def asked(mesh: TracedMesh, kind: str, metadata: list[tuple[str, str]]) -> pb.GetNoteResponse:
    """The answer of a service that asks another one."""
    acme = mesh.add_tenant("acme")
    key = mesh.key()
    serve: Any = mesh.serve
    credential = Credential(key)
    leaf = await serve(add_NotesServiceServicer_to_server, Asking(channel("127.0.0.1:1")), pb.DESCRIPTOR)
    if kind == "aio":
        opened = channel(leaf, credential=credential, tracer=mesh.tracer)
        mesh.closing(opened.close)
        servicer: Any = Asking(opened)
    else:
        blocking = thread_channel(leaf, credential=credential, tracer=mesh.tracer)
        mesh.closing(blocking.close)
        servicer = ThreadAsking(blocking)
    target = await serve(add_NotesServiceServicer_to_server, servicer, pb.DESCRIPTOR, kind=kind)
    async with mesh.client(target, token=key) as outer:
        stub: Any = NotesServiceStub(outer)
        answer: pb.GetNoteResponse = await stub.GetNote(
            pb.GetNoteRequest(), metadata=[*metadata, ("x-tenant-slug", acme.slug)]
        )
    return answer


@pytest.fixture(params=["aio", "threads"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_without_a_tracer_the_callers_trace_is_carried_as_it_is(kind: str) -> None:
    async with TracedMesh(SETTINGS) as mesh:
        answer = await asked(mesh, kind, CALLERS)
    assert answer.text == f"00-{TRACE}-{PARENT}-01 vendor=value"


async def test_server_and_client_spans_join(kind: str, tracer: CallSpans, exported: InMemorySpanExporter) -> None:
    async with TracedMesh(SETTINGS) as mesh:
        mesh.tracer = tracer
        answer = await asked(mesh, kind, CALLERS)
        await ended(exported, 3)
    spans = {f"{span.context.span_id:016x}": span for span in exported.get_finished_spans()}
    (inner,) = [span for span in spans.values() if span.kind is SpanKind.SERVER and parent_of(span) in spans]
    onward = spans[parent_of(inner)]
    outer = spans[parent_of(onward)]
    assert (onward.kind, outer.kind, parent_of(outer)) == (SpanKind.CLIENT, SpanKind.SERVER, PARENT)
    assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE}
    assert answer.text == f"00-{TRACE}-{onward.context.span_id:016x}-01 vendor=value"
    assert answer.caller == f"{outer.context.span_id:016x}", "the span is current while the handler runs"


async def test_a_call_that_is_not_sampled_is_not_sampled_onward(
    kind: str, tracer: CallSpans, exported: InMemorySpanExporter
) -> None:
    unsampled = [("traceparent", f"00-{TRACE}-{PARENT}-00")]
    async with TracedMesh(SETTINGS) as mesh:
        mesh.tracer = tracer
        answer = await asked(mesh, kind, unsampled)
    assert answer.text.startswith(f"00-{TRACE}-")
    assert answer.text.strip().endswith("-00")
    assert not exported.get_finished_spans()


class Following(MemoryTenantSource):
    """Remembers for which trace and request it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_for: list[dict[str, str]] = []

    async def by_id(self, tenant_id: uuid.UUID) -> TenantRecord | None:
        self.asked_for.append(dict(outgoing()))
        with pytest.raises(LookupError):
            current_call()  # the work outlives the call that caused it
        return await super().by_id(tenant_id)


async def test_a_shared_look_up_belongs_to_the_trace_of_the_call_that_caused_it() -> None:
    async with TracedMesh(SETTINGS) as mesh:
        mesh.tenants = source = Following()
        acme = mesh.add_tenant("acme")
        target = await mesh.serve(add_NotesServiceServicer_to_server, Notes(), pb.DESCRIPTOR)
        async with mesh.client(target, token=mesh.token(acme, ("owner",))) as opened:
            stub: Any = NotesServiceStub(opened)
            await stub.GetNote(pb.GetNoteRequest(text="a"), metadata=[*CALLERS, ("x-request-id", "mine-1")])
    (sent,) = source.asked_for
    assert sent == {**dict(CALLERS), "x-request-id": "mine-1"}


def parent_of(span: Any) -> str:
    return f"{span.parent.span_id:016x}" if span.parent else ""


async def ended(exported: InMemorySpanExporter, number: int) -> None:
    async with asyncio.timeout(5):
        while len(exported.get_finished_spans()) < number:  # polled: threads end spans of their own
            await asyncio.sleep(0.01)
