"""The fields that the library logs of calls: ids, never content."""

from __future__ import annotations

import logging
from enum import Enum

from tenantmesh.interceptors.bounded_lines import BoundedLines
from tenantmesh.interceptors.passage import Passage, caused_by, current
from tenantmesh.interceptors.records import TraceContext

__all__ = ["AccessLog", "bound_security_events", "call_ids", "log_context", "security_event", "trace_context"]

_security = logging.getLogger("tenantmesh.security")


class _Events:
    lines = BoundedLines()


_events = _Events()
_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class AccessLog(Enum):
    """Which calls get a log line. A line costs 10 µs, so the default leaves served calls out."""

    OFF = "off"
    REFUSALS = "refusals"
    ALL = "all"


def call_ids(call: Passage) -> dict[str, str]:
    """Return the ids that identify a call in the log of errors."""
    return {"request_id": call.request_id, "method": call.method}


def trace_context() -> TraceContext | None:
    """Return the trace of the call that this code serves, or of the one that caused it; None without."""
    call = current.get(None) or caused_by.get(None)
    return None if call is None else call.trace


def log_context() -> dict[str, str]:
    """Return the ids for log lines that are written while a call is served; empty outside of a call."""
    try:
        call = current.get()
    except LookupError:
        return {}
    known = {"request_id": call.request_id}
    if call.tenant is not None:
        known["tenant_id"] = str(call.tenant.id)
    return known


def security_event(event: str, **ids: object) -> None:
    """Log an event that a security team follows, to the logger `tenantmesh.security`, with `security: true`.

    Of many alike from one address the first are logged, and how many more there were. Raises ValueError for the name of
    an id that log records have for themselves, such as `name`.
    """
    if taken := _RECORD.intersection(ids):
        raise ValueError(f"log records have these names themselves: {', '.join(sorted(taken))}")
    call = current.get(None)
    address = "" if call is None else call.peer_address
    if _events.lines.admit(_security, logging.WARNING, str(ids.get("reason", event)), address):
        _security.warning(event, extra={"security": True, **ids})


def bound_security_events(lines: BoundedLines) -> None:
    """Have these lines bound the security events of the process, as a logger is the process's own."""
    _events.lines = lines
