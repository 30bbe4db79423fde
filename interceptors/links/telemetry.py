"""One observation per call, with its final status: metrics, a span, and a log line for refusals."""

from __future__ import annotations

import logging
from time import perf_counter

import grpc

from tenantmesh.interceptors.bounded_lines import BoundedLines
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.logs import AccessLog
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy
from tenantmesh.interceptors.records import CallObserver, CallTracer

__all__ = ["CallTelemetry"]

_log = logging.getLogger("tenantmesh.call")
_OK = grpc.StatusCode.OK


class CallTelemetry:
    """Observes every call. Stands outside of the error boundary, so that `call.code` is the caller's status.

    Lines about refusals are bounded, unless all calls are logged.
    """

    def __init__(
        self,
        observer: CallObserver | None,
        tracer: CallTracer | None,
        access_log: AccessLog,
        lines: BoundedLines | None = None,
    ) -> None:
        self._lines = lines or BoundedLines()
        self._observer = observer
        self._tracer = tracer
        self._log_refusals = access_log is not AccessLog.OFF
        self._log_served = access_log is AccessLog.ALL

    def bind(self, policy: MethodPolicy) -> Moments:
        """As `Link.bind`. Makes spans where there is a tracer, but for probes: they are most of what a quiet service is
        asked."""
        if self._tracer is None or policy.method.startswith("/grpc.health."):
            return Moments(leave=self.leave)
        tracing = _Tracing(self, self._tracer)
        return Moments(enter=tracing.enter, leave=tracing.leave)

    def leave(self, call: Passage) -> None:
        """Count the call and write its log line."""
        logged = self._log_served if call.code is _OK else self._log_refusals
        if self._observer is None and not logged:
            return
        seconds = perf_counter() - call.started
        if self._observer is not None:
            self._observer(call.policy.method, call.code.name, seconds)
        if logged and not call.method.startswith("/grpc.") and (self._log_served or self._admits(call)):
            line = {"method": call.method, **_attributes(call), "code": call.code.name, "ms": round(seconds * 1e3, 3)}
            _log.info("call", extra=line)

    def _admits(self, call: Passage) -> bool:
        """Return whether the line of a refusal is one of the first of its reason and address."""
        reason = getattr(call.error, "reason", None) or call.code.name
        return self._lines.admit(_log, logging.INFO, str(reason), call.peer_address)


class _Tracing:
    def __init__(self, telemetry: CallTelemetry, tracer: CallTracer) -> None:
        self._telemetry = telemetry
        self._tracer = tracer

    def enter(self, call: Passage) -> Waiting:
        call.span, (call.traceparent, call.span_state) = self._tracer.start(call.method, call.trace)
        return None

    def leave(self, call: Passage) -> None:
        self._tracer.finish(call.span, call.code, _attributes(call))
        self._telemetry.leave(call)


def _attributes(call: Passage) -> dict[str, str]:
    """Return the attributes that identify a call in logs and traces: ids, never content."""
    attributes = {"request_id": call.request_id, "caller": call.caller.kind.value}
    if call.tenant is not None:
        attributes["tenant_id"] = str(call.tenant.id)
    if call.caller.credential_id:
        attributes["credential_id"] = call.caller.credential_id
    reason = getattr(call.error, "reason", None)
    if isinstance(reason, str):
        attributes["reason"] = reason
    return attributes
