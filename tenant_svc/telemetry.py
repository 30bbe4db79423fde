"""Joins the two halves of telemetry: what the chain asks for, and what the process offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from interceptors.call import current_call

__all__ = ["CallSpans", "log_context"]

_PROPAGATOR = TraceContextTextMapPropagator()


def log_context() -> Mapping[str, object]:
    """What every log line of a call carries: ids, never content."""
    try:
        call = current_call()
    except LookupError:
        return {}
    known = {"request_id": call.request_id}
    if call.tenant is not None:
        known["tenant_id"] = str(call.tenant.id)
    return known


class CallSpans:
    """As CallTracer: one server span per call, a child of the caller's."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start(self, method: str, traceparent: str | None) -> Span:
        """Begins the span."""
        parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
        return self._tracer.start_span(method.lstrip("/"), parent, SpanKind.SERVER)

    def finish(self, span: Any, code: str, attributes: dict[str, str]) -> None:
        """Ends it."""
        span.set_attributes({"rpc.system": "grpc", "rpc.grpc.status_code": code, **attributes})
        span.end()
