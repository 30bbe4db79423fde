"""One server span per call, a child of the caller's (W3C Trace Context)."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import Span, SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["CallSpans"]

_PROPAGATOR = TraceContextTextMapPropagator()


class CallSpans:
    """Begins and ends the spans of calls."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start(self, method: str, traceparent: str | None) -> Span:
        """Begin the span."""
        parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
        return self._tracer.start_span(method.lstrip("/"), parent, SpanKind.SERVER)

    def finish(self, span: Any, code: str, attributes: dict[str, str]) -> None:
        """End the span."""
        span.set_attributes({"rpc.system": "grpc", "rpc.grpc.status_code": code, **attributes})
        span.end()
