"""Spans reach a collector over OTLP, as children of the caller's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tenantmesh.runtime.settings import TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.runtime.telemetry.spans import CallSpans

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.arrived = threading.Event()

    def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            self.services |= {each.value.string_value for each in resource.resource.attributes if "name" in each.key}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        self.arrived.set()
        return trace_service_pb2.ExportTraceServiceResponse()


def test_a_call_becomes_a_span_of_the_callers_trace() -> None:
    collector = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(1))
    add: Callable[[Any, Any], None] = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    settings = TelemetrySettings(otlp_endpoint=f"127.0.0.1:{port}", otlp_insecure=True)
    telemetry = Telemetry(settings, "notes")
    telemetry.open(0)
    try:
        assert telemetry.tracer is not None
        spans = CallSpans(telemetry.tracer)
        span = spans.start("/notes.v1.NotesService/GetNote", f"00-{TRACE}-{PARENT}-01")
        spans.finish(span, "NOT_FOUND", {"request_id": "r-1", "tenant_id": "t-1"})
    finally:
        telemetry.close()
        assert collector.arrived.wait(10)
        server.stop(0).wait()
    (sent,) = collector.spans
    assert (sent.name, sent.trace_id.hex(), sent.parent_span_id.hex()) == (
        "notes.v1.NotesService/GetNote",
        TRACE,
        PARENT,
    )
    attributes = {each.key: each.value.string_value for each in sent.attributes}
    assert attributes == {
        "rpc.system": "grpc",
        "rpc.grpc.status_code": "NOT_FOUND",
        "request_id": "r-1",
        "tenant_id": "t-1",
    }
    assert "notes" in collector.services
