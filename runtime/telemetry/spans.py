"""Spans of calls, of transactions and of jobs, by OpenTelemetry's semantic conventions for RPC and databases.

Our own attributes are in the namespace `tenantmesh.`. W3C Trace Context connects them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

__all__ = ["CallSpans", "JobSpans", "TransactionSpans"]

_TraceContext: TypeAlias = tuple[str, str]  # traceparent and tracestate

_PROPAGATOR = TraceContextTextMapPropagator()

# The statuses of a served call that are errors of the server, by the conventions for gRPC.
_SERVER_ERRORS = frozenset(
    getattr(grpc.StatusCode, name)
    for name in ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
)


class CallSpans:
    """Begins and ends the spans of calls: SERVER spans of those served at `address`, CLIENT spans of those made."""

    def __init__(self, tracer: Tracer, address: tuple[str, int] | None = None) -> None:
        self._tracer = tracer
        self._address = {} if address is None else _place(*address)

    def start(self, method: str, parent: _TraceContext | None) -> tuple[Span, _TraceContext]:
        """As `CallTracer.start`. The span stays current until the task ends or its thread begins another call."""
        above = _context_of(parent)
        span = self._tracer.start_span(method.lstrip("/"), above, SpanKind.SERVER, _rpc(method) | self._address)
        attach(set_span_in_context(span, above))
        return span, _trace_of(span)

    def start_onward(self, method: str, target: str, parent: _TraceContext | None) -> tuple[Span, _TraceContext]:
        """As `CallTracer.start_onward`."""
        inside = get_current_span().get_span_context().is_valid
        above = None if inside else _context_of(parent)
        span = self._tracer.start_span(method.lstrip("/"), above, SpanKind.CLIENT, _rpc(method) | _target(target))
        return span, _trace_of(span)

    def finish(self, span: Any, code: grpc.StatusCode, attributes: Mapping[str, str]) -> None:
        """As `CallTracer.finish`. A call that is made fails with any status but OK; one that is served, if the server
        is at fault."""
        if not span.is_recording():
            return
        span.set_attribute("rpc.grpc.status_code", code.value[0])
        span.set_attributes({f"tenantmesh.{key}": value for key, value in attributes.items()})
        failed = code is not grpc.StatusCode.OK if span.kind is SpanKind.CLIENT else code in _SERVER_ERRORS
        if failed:
            span.set_attribute("error.type", code.name)
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class TransactionSpans:
    """Makes the spans of transactions that are part of a trace. The others, such as polls, have none.

    cause: returns the trace of the call that caused the work, for work that several calls wait for.
    """

    def __init__(self, tracer: Tracer, cause: Callable[[], _TraceContext | None]) -> None:
        self._tracer = tracer
        self._cause = cause

    def start(self, operation: str) -> Span | None:
        """Return a span, a child of the current one or of the cause; None where there is neither."""
        above = None
        if not get_current_span().get_span_context().is_valid:
            if (trace := self._cause()) is None:
                return None
            above = _context_of(trace)
        known = {"db.system.name": "postgresql", "db.operation.name": operation}
        return self._tracer.start_span(operation, above, SpanKind.CLIENT, known)

    def finish(self, span: Any, error: BaseException | None) -> None:
        """End the span."""
        if span is None:
            return
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    @contextmanager
    def around(self, operation: str) -> Iterator[None]:
        """Make a span of the block."""
        span = self.start(operation)
        try:
            yield
        except BaseException as error:
            self.finish(span, error)
            raise
        self.finish(span, None)


class JobSpans:
    """Makes the spans of attempts at jobs: CONSUMER spans, children of the calls that asked for the jobs."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @contextmanager
    def around(self, kind: str, cause: _TraceContext | None) -> Iterator[None]:
        """Make a span of the block, which is current in it."""
        above = _context_of(cause)
        span = self._tracer.start_span(f"{kind} process", above, SpanKind.CONSUMER, {"tenantmesh.job": kind})
        token = attach(set_span_in_context(span, above))
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            detach(token)
            span.end()


def _context_of(trace: _TraceContext | None) -> Context:
    """Return the context of the parent; an empty one without, whatever ran in this thread before."""
    if trace is None:
        return Context()
    traceparent, tracestate = trace
    return _PROPAGATOR.extract({"traceparent": traceparent, "tracestate": tracestate}, Context())


def _trace_of(span: Span) -> _TraceContext:
    found = span.get_span_context()
    traceparent = f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
    return traceparent, found.trace_state.to_header()


def _rpc(method: str) -> dict[str, str | int]:
    service, _, name = method.lstrip("/").rpartition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}


def _target(target: str) -> dict[str, str | int]:
    """Return the address in a gRPC target, such as `127.0.0.1:50051` or `dns:///tenants:443`."""
    host, _, port = target.rpartition("/")[2].rpartition(":")
    return _place(host.strip("[]"), int(port)) if host and port.isdecimal() else {"server.address": target}


def _place(host: str, port: int) -> dict[str, str | int]:
    return {"server.address": host, "server.port": port}
