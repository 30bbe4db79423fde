"""Link 2: one observation per call, with its final status: metrics, a span, and a log line for what was refused."""

from __future__ import annotations

import logging
import time
from enum import Enum
from typing import Protocol

import grpc

from tenantmesh.interceptors.call import Call, current_call
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["AccessLog", "CallObserver", "CallTracer", "Telemetry", "log_context"]

_log = logging.getLogger("tenantmesh.call")


class CallObserver(Protocol):
    """Counts calls. Called on the hot path: must be fast, must not raise."""

    def __call__(self, method: str, code: str, seconds: float, /) -> None: ...  # noqa: D102


class CallTracer(Protocol):
    """Makes spans; only asked where tracing is configured."""

    def start(self, method: str, traceparent: str | None) -> object: ...  # noqa: D102

    def finish(self, span: object, code: str, attributes: dict[str, str]) -> None: ...  # noqa: D102


_OK = grpc.StatusCode.OK


class AccessLog(Enum):
    """Which calls get a log line. A line costs 10 µs, so served calls have none unless asked for."""

    OFF = "off"
    REFUSALS = "refusals"
    ALL = "all"


class Telemetry(Link):
    """Observes every call. Sits outside the error boundary, so that `call.code` is what the caller saw."""

    def __init__(self, observer: CallObserver | None, tracer: CallTracer | None, access_log: AccessLog) -> None:
        self._observer = observer
        self._tracer = tracer
        self._log_refusals = access_log is not AccessLog.OFF
        self._log_served = access_log is AccessLog.ALL

    def bind(self, policy: MethodPolicy) -> Link | None:  # noqa: ARG002  # every method is observed
        """The link that also makes spans, where there is a tracer."""
        return self if self._tracer is None else _TracingTelemetry(self, self._tracer)

    def leave(self, call: Call) -> None:
        """Counts, and writes the line."""
        logged = self._log_served if call.code is _OK else self._log_refusals
        if self._observer is None and not logged:
            return
        seconds = time.perf_counter() - call.started
        if self._observer is not None:
            self._observer(call.policy.method, call.code.name, seconds)
        if logged and not call.method.startswith("/grpc."):
            _log.info("call", extra={**_attributes(call), "code": call.code.name, "ms": round(seconds * 1e3, 3)})


class _TracingTelemetry(Link):
    def __init__(self, telemetry: Telemetry, tracer: CallTracer) -> None:
        self._telemetry = telemetry
        self._tracer = tracer

    def enter(self, call: Call) -> Pending:
        call.span = self._tracer.start(call.method, call.traceparent)
        return None

    def leave(self, call: Call) -> None:
        self._tracer.finish(call.span, call.code.name, _attributes(call))
        self._telemetry.leave(call)


def _attributes(call: Call) -> dict[str, str]:
    """What identifies a call in logs and traces: ids, never content."""
    attributes = {"method": call.method, "request_id": call.request_id, "caller": call.caller.kind.value}
    if call.tenant is not None:
        attributes["tenant_id"] = str(call.tenant.id)
    if call.caller.credential_id:
        attributes["credential_id"] = call.caller.credential_id
    reason = getattr(call.error, "reason", None)
    if isinstance(reason, str):
        attributes["reason"] = reason
    return attributes


def log_context() -> dict[str, str]:
    """What every log line that is written while serving a call should carry: ids, never content."""
    try:
        call = current_call()
    except LookupError:
        return {}
    known = {"request_id": call.request_id}
    if call.tenant is not None:
        known["tenant_id"] = str(call.tenant.id)
    return known
