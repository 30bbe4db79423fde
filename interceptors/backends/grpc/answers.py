"""Errors of calls to other services, translated: the reason of a refusal, a missing answer, the end of a watch."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2, status_pb2

from tenantmesh.interceptors.errors import MeshError, OutOfRange, Unavailable

__all__ = ["TIMEOUT", "reason_of", "unreachable", "watch_failure"]

TIMEOUT = 2.0
"""Seconds that a look-up may take. A cache miss waits for it, also while the service is just starting."""

_DETAILS = "grpc-status-details-bin"


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


def watch_failure(code: int, otherwise: Unavailable) -> MeshError:
    """Return the error for a watch that ended with a status code: OutOfRange for an expired cursor, or `otherwise`."""
    if code == grpc.StatusCode.OUT_OF_RANGE.value[0]:
        return OutOfRange("CURSOR_EXPIRED", "the watch's cursor has expired")
    return otherwise
