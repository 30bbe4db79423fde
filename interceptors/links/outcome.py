"""Decides by the end of a call whether it is charged."""

from __future__ import annotations

import asyncio
from enum import Enum

import grpc

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.passage import HandlerAborted, Passage

__all__ = ["Outcome", "outcome_of"]


class Outcome(Enum):
    """Whether a call is charged."""

    SERVED = "SERVED"
    """Charged: the call was served. That includes an answer that the request is wrong, and a client that left."""
    REFUSED = "REFUSED"
    """Not charged: the handler refused the caller."""
    FAILED = "FAILED"
    """Not charged: something failed on our side, or took longer than the policy allows."""


_REFUSED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED"})
_FAILED = frozenset({"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DATA_LOSS", "UNIMPLEMENTED", "DEADLINE_EXCEEDED"})


def outcome_of(call: Passage) -> Outcome:
    """Return how the call ended, for links inside of the error boundary."""
    if call.error is None and call.code is grpc.StatusCode.OK:
        return Outcome.SERVED
    code = _code(call)
    if code == "DEADLINE_EXCEEDED" and call.deadline_chosen:
        return Outcome.SERVED  # else a client could have everything for free by setting short deadlines
    if code in _FAILED:
        return Outcome.FAILED
    return Outcome.REFUSED if code in _REFUSED else Outcome.SERVED


def _code(call: Passage) -> str:
    error = call.error
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        if call.ended_by is None:
            return "CANCELLED"
        error = call.ended_by
    if isinstance(error, MeshError):
        return error.kind.name
    if isinstance(error, HandlerAborted):
        return error.code.name
    return call.code.name if error is None else "UNKNOWN"
