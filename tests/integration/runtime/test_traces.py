"""Spans reach a collector over OTLP: named by the conventions, connected, and never in the way of anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry.context import Context, attach

from tenantmesh.runtime.settings import TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.runtime.telemetry.spans import CallSpans, TransactionSpans
from tests.collector import Collector, collecting
from tests.ports import free_port

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
METHOD = "/notes.v1.NotesService/GetNote"
Code = grpc.StatusCode


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture
def telemetry(collector: Collector) -> Iterator[Telemetry]:
    attach(Context())  # a served call's span stays current in its task or thread, which all tests here share
    made = Telemetry(TelemetrySettings(otlp_endpoint=collector.target, otlp_insecure=True, trace_ratio=1), "notes")
    made.open(0)
    yield made
    made.close()


def spans_of(telemetry: Telemetry) -> CallSpans:
    assert telemetry.tracer is not None
    return CallSpans(telemetry.tracer, ("127.0.0.1", 50051))


def test_a_call_becomes_a_span_of_the_callers_trace(telemetry: Telemetry, collector: Collector) -> None:
    spans = spans_of(telemetry)
    span, (traceparent, tracestate) = spans.start(METHOD, (TRACEPARENT, "vendor=value"))
    spans.finish(span, Code.NOT_FOUND, {"request_id": "r-1", "tenant_id": "t-1"})
    telemetry.close()
    (sent,) = collector.spans
    assert (sent.name, sent.kind) == ("notes.v1.NotesService/GetNote", "SERVER")
    assert (sent.trace, sent.parent) == (TRACE, PARENT)
    assert traceparent == f"00-{TRACE}-{sent.id}-01"
    assert tracestate == "vendor=value"
    assert sent.attributes == {
        "rpc.system": "grpc",
        "rpc.service": "notes.v1.NotesService",
        "rpc.method": "GetNote",
        "rpc.grpc.status_code": 5,
        "server.address": "127.0.0.1",
        "server.port": 50051,
        "tenantmesh.request_id": "r-1",
        "tenantmesh.tenant_id": "t-1",
    }
    assert sent.failed is False, "the caller was wrong, not the server"
    assert collector.services == {"notes"}


@pytest.mark.parametrize(("code", "failed"), [(Code.INTERNAL, True), (Code.UNAVAILABLE, True), (Code.OK, False)])
def test_a_servers_error_marks_its_span(telemetry: Telemetry, collector: Collector, code: Any, failed: bool) -> None:
    spans = spans_of(telemetry)
    span, _ = spans.start(METHOD, None)
    spans.finish(span, code, {})
    telemetry.close()
    (sent,) = collector.spans
    assert (sent.failed, sent.attributes.get("error.type")) == (failed, code.name if failed else None)


def test_a_call_onward_is_a_child_of_the_current_span(telemetry: Telemetry, collector: Collector) -> None:
    spans = spans_of(telemetry)
    span, trace = spans.start(METHOD, None)
    made, _ = spans.start_onward("/tenantmesh.auth.v1.TokenService/GetJwks", "dns:///auth:443", trace)
    spans.finish(made, Code.NOT_FOUND, {})
    spans.finish(span, Code.OK, {})
    telemetry.close()
    onward, served = collector.spans
    assert (onward.kind, onward.parent, onward.trace) == ("CLIENT", served.id, served.trace)
    assert onward.failed
    assert (onward.attributes["server.address"], onward.attributes["server.port"]) == ("auth", 443)
    assert served.parent == ""


def test_a_transaction_is_a_child_of_its_cause_and_polls_have_no_span(
    telemetry: Telemetry, collector: Collector
) -> None:
    cause: list[tuple[str, str]] = []
    assert telemetry.tracer is not None
    transactions = TransactionSpans(telemetry.tracer, lambda: cause[0] if cause else None)
    transactions.finish(transactions.start("system transaction"), None)
    cause.append((TRACEPARENT, ""))
    with pytest.raises(ValueError, match="no"), transactions.around("get_tenant"):
        raise ValueError("no")
    telemetry.close()
    (sent,) = collector.spans
    assert (sent.name, sent.kind, sent.parent, sent.failed) == ("get_tenant", "CLIENT", PARENT, True)
    assert sent.attributes["db.system.name"] == "postgresql"


def test_an_attempt_at_a_job_that_fails_marks_its_span(telemetry: Telemetry, collector: Collector) -> None:
    jobs = telemetry.jobs()
    assert jobs is not None
    with pytest.raises(ValueError, match="no"), jobs.around("tidy", (TRACEPARENT, "")):
        raise ValueError("no")
    telemetry.close()
    (sent,) = collector.spans
    assert (sent.name, sent.kind, sent.trace, sent.parent) == ("tidy process", "CONSUMER", TRACE, PARENT)
    assert (sent.failed, sent.attributes["error.type"]) == (True, "ValueError")


def test_a_collector_that_is_away_delays_the_end_of_a_process_by_two_seconds_at_most() -> None:
    settings = TelemetrySettings(otlp_endpoint=f"127.0.0.1:{free_port()}", otlp_insecure=True, trace_ratio=1)
    telemetry = Telemetry(settings, "notes")
    telemetry.open(0)
    spans = spans_of(telemetry)
    for _ in range(1000):
        span, _ = spans.start(METHOD, None)
        spans.finish(span, Code.OK, {})
    began = time.monotonic()
    telemetry.close()
    assert time.monotonic() - began < 2
