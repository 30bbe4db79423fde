"""Errors of calls to other services, translated: a refused key, another refusal, a missing answer, a watch's end."""

from __future__ import annotations

import logging
import time

import grpc
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.interceptors.errors import MeshError, OutOfRange, Unavailable

__all__ = ["TIMEOUT", "key_refused", "no_answer", "reason_of", "unreachable", "watch_failure"]

_log = logging.getLogger("tenantmesh.mesh")

TIMEOUT = 2.0
"""Seconds that a look-up may take. A cache miss waits for it, also while the service is just starting."""

_DETAILS = "grpc-status-details-bin"
_KEY_REFUSED = "MESH_KEY_REFUSED"
_OF_THE_KEY = {"PERMISSION_MISSING", "AUDIENCE_NOT_ALLOWED", "METER_NOT_ALLOWED", "GAUGE_NOT_ALLOWED", "GAUGE_OWNED"}
_LOG_PAUSE = 60.0
_logged: dict[str, float] = {}
"""Messages about the key that were logged, and when."""


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason in the rich status of the error; empty if there is none."""
    details = dict(error.trailing_metadata() or ()).get(_DETAILS, b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details if isinstance(details, bytes) else b"").details:
        if detail.Unpack(info):
            break
    return str(info.reason)


def unreachable(service: str) -> str:
    """Return the message of the error for a service that did not answer."""
    return f"{service} can't be asked right now. Retry with backoff."


def no_answer(error: grpc.aio.AioRpcError, service: str, otherwise: Unavailable) -> Unavailable:
    """Return the error for a question that a service did not answer: `otherwise`, unless it refuses our own key."""
    return key_refused(error, service) or otherwise


def key_refused(error: grpc.aio.AioRpcError, service: str) -> Unavailable | None:
    """Return the error for a service that refuses our own key, and log it; None for another error."""
    if not _log_refused_key(error, service):
        return None
    return Unavailable(
        _KEY_REFUSED,
        f"{service} refuses the key of the service that was called. Its operator must replace the key; retrying does"
        " not help.",
        metadata={"service": service},
    )


def _log_refused_key(error: grpc.aio.AioRpcError, service: str) -> bool:
    """Return whether the service refuses our own key. Log it then, at most once a minute with the same words."""
    code, reason = error.code(), reason_of(error)
    denied = code is grpc.StatusCode.PERMISSION_DENIED and reason in _OF_THE_KEY
    if code is not grpc.StatusCode.UNAUTHENTICATED and not denied:
        return False
    told, now = f"{service} refuses this service's own key: {reason}: {error.details()}", time.monotonic()
    if now - _logged.get(told, float("-inf")) >= _LOG_PAUSE:
        _logged[told] = now
        _log.error("%s Set a key (TENANTMESH_MESH_CREDENTIAL) that `tenantmesh operator create` has made.", told)
    return True


def watch_failure(code: int, otherwise: Unavailable) -> MeshError:
    """Return the error for a watch that ended with a status code: OutOfRange for an expired cursor, or `otherwise`."""
    if code == grpc.StatusCode.OUT_OF_RANGE.value[0]:
        return OutOfRange("CURSOR_EXPIRED", "the watch's cursor has expired")
    return otherwise
