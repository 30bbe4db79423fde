"""Spans of the calls that a channel makes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc

from tenantmesh.interceptors.metadata import TRACEPARENT, TRACESTATE
from tenantmesh.interceptors.passage import Metadata
from tenantmesh.interceptors.records import CallTracer

__all__ = ["ClientSpans"]

_TRACE = frozenset({TRACEPARENT, TRACESTATE})


class ClientSpans:
    """Begins a span for each call of a channel to `target`, and ends it with the call's status."""

    def __init__(self, tracer: CallTracer, target: str) -> None:
        self._tracer = tracer
        self._target = target
        self._following: set[asyncio.Task[None]] = set()

    def start(self, method: str, metadata: Metadata) -> tuple[object, tuple[tuple[str, str | bytes], ...]]:
        """Return a span for the call, and the call's metadata with the span in place of the trace context."""
        trace = {key: str(value) for key, value in metadata if key in _TRACE}
        parent = (trace[TRACEPARENT], trace.get(TRACESTATE, "")) if TRACEPARENT in trace else None
        span, (traceparent, tracestate) = self._tracer.start_onward(method, self._target, parent)
        kept = [(key, value) for key, value in metadata if key not in _TRACE]
        state = [(TRACESTATE, tracestate)] if tracestate else []
        return span, (*kept, (TRACEPARENT, traceparent), *state)

    async def follow(self, span: object, calling: Coroutine[Any, Any, Any]) -> Any:
        """Return the call of grpc.aio once it has begun. A task of its own waits for the status."""
        try:
            call = await calling
        except BaseException:
            self.finish(span, grpc.StatusCode.UNKNOWN)
            raise
        task = asyncio.ensure_future(self._finish_with(span, call))
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        return call

    async def _finish_with(self, span: object, call: Any) -> None:
        code = grpc.StatusCode.CANCELLED
        try:
            code = await call.code()
        finally:
            self.finish(span, code)

    def finish(self, span: object, code: grpc.StatusCode) -> None:
        """End the span."""
        self._tracer.finish(span, code, {})
