"""The record of a call, and the ports that record calls: metrics and spans, and, for the links whose place in the chain
is reserved, usage and audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import grpc

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["AuditSink", "CallObserver", "CallTracer", "TraceContext", "UsageSink"]


class CallObserver(Protocol):
    """Counts calls."""

    def __call__(self, method: str, code: str, seconds: float, /) -> None:
        """Must be fast and must not raise: every call runs it."""
        ...


TraceContext: TypeAlias = tuple[str, str]
"""The place of a call in its trace: `traceparent` and `tracestate` of W3C Trace Context; the second may be empty."""


class CallTracer(Protocol):
    """Makes spans. Only called where tracing is configured. Adapter: `runtime.telemetry.spans.CallSpans`."""

    def start(self, method: str, parent: TraceContext | None) -> tuple[object, TraceContext]:
        """Must begin the span of a call that is served, a child of `parent` where there is one, and make it current in
        the task or thread that serves. Must return it with its own context."""
        ...

    def start_onward(self, method: str, target: str, parent: TraceContext | None) -> tuple[object, TraceContext]:
        """Must begin the span of a call that is made, a child of the current span, else of `parent`, and return it with
        its own context, which goes with the call."""
        ...

    def finish(self, span: object, code: grpc.StatusCode, attributes: Mapping[str, str]) -> None:
        """Must end the span. The attributes are ids, never content. Must not raise."""
        ...


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call that is over. Holds ids, never content."""

    method: str
    code: str
    reason: str
    tenant_id: TenantId | None
    caller: str
    credential_id: str
    request_id: str
    seconds: float


class UsageSink(Protocol):
    """Counts calls, served and refused."""

    def record(self, call: CallRecord) -> None:
        """Must return at once and never raise; must say how many records a crash may lose."""
        ...


class AuditSink(Protocol):
    """Writes calls down in an order that can be verified."""

    def record(self, call: CallRecord) -> None:
        """Must return at once and never raise; must not lose a record that it accepted."""
        ...
