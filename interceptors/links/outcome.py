"""What became of a call, as far as it matters to what it costs."""

from __future__ import annotations

import asyncio
from enum import Enum

import grpc

from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.links.error_boundary import Aborted

__all__ = ["Outcome", "outcome_of"]


class Outcome(Enum):
    """Whether a call counts."""

    SERVED = "SERVED"
    """It does, also when its answer was that the request is wrong, or when the client left."""
    REFUSED = "REFUSED"
    """The handler did not let the caller do it."""
    FAILED = "FAILED"
    """Something went wrong on our side, or took longer than we allow."""


_REFUSED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"})
_FAILED = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS", "UNIMPLEMENTED", "DEADLINE_EXCEEDED"})


def outcome_of(call: Call) -> Outcome:
    """What became of the call, for links inside of the error boundary."""
    if call.error is None and call.code is grpc.StatusCode.OK:
        return Outcome.SERVED
    code = _code(call)
    if code == "DEADLINE_EXCEEDED" and call.deadline_chosen:
        return Outcome.SERVED  # else a client could have everything for free by being in a hurry
    if code in _FAILED:
        return Outcome.FAILED
    return Outcome.REFUSED if code in _REFUSED else Outcome.SERVED


def _code(call: Call) -> str:
    error = call.error
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        if call.ended_by is None:
            return "CANCELLED"
        error = call.ended_by
    if isinstance(error, MeshError):
        return error.kind.name
    if isinstance(error, Aborted):
        return error.code.name
    return call.code.name if error is None else "UNKNOWN"
