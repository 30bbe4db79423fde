"""The record of a call, and the ports that record calls: metrics and spans, and, for the links whose place in the chain
is reserved, usage and audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["AuditSink", "CallObserver", "CallRecord", "CallTracer", "UsageSink"]


class CallObserver(Protocol):
    """Counts calls."""

    def __call__(self, method: str, code: str, seconds: float, /) -> None:
        """Must be fast and must not raise: every call runs it."""
        ...


class CallTracer(Protocol):
    """Makes spans. Only called where tracing is configured."""

    def start(self, method: str, traceparent: str | None) -> object:
        """Must begin a span, as a child of the trace context where there is one, and return it."""
        ...

    def finish(self, span: object, code: str, attributes: dict[str, str]) -> None:
        """Must end the span."""
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
