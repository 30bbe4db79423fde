"""Turns every failure inside of it into a status. The details that callers must not see go to the log."""

from __future__ import annotations

import asyncio
import logging

import grpc

from tenantmesh.interceptors.bounded_lines import BoundedLines
from tenantmesh.interceptors.errors import Internal, Kind, MeshError
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.logs import call_ids
from tenantmesh.interceptors.passage import HandlerAborted, Passage
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["ErrorBoundary"]

_log = logging.getLogger("tenantmesh.error")


class ErrorBoundary:
    """Turns `call.error` into a MeshError and sets `call.code`.

    An exception that is not a MeshError is our fault by definition. It becomes Internal, with the traceback in the log
    under the request id: its text may hold anything, and gRPC itself would send it to the client.
    """

    def __init__(self, lines: BoundedLines | None = None) -> None:
        self._lines = lines or BoundedLines()

    def bind(self, policy: MethodPolicy) -> Moments:
        """As `Link.bind`."""
        return Moments(leave=self.leave)

    def leave(self, call: Passage) -> None:
        """Decide what the caller sees."""
        error = call.error
        if error is None:
            return
        if isinstance(error, HandlerAborted):
            call.code = error.code
            return
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            if call.ended_by is None:
                call.code = grpc.StatusCode.CANCELLED
                return
            error = call.error = call.ended_by
        if not isinstance(error, MeshError):
            self._write(call, "unexpected exception", error)
            call.error = error = Internal("INTERNAL", "unexpected exception")
        elif error.kind is Kind.INTERNAL:
            self._write(call, f"internal error: {error.message}", error)
        call.code = grpc.StatusCode[error.kind.name]

    def _write(self, call: Passage, text: str, error: BaseException) -> None:
        """Log the error, unless one caller brings many of its type about."""
        if self._lines.admit(_log, logging.ERROR, f"{type(error).__name__} in {call.method}", call.peer_address):
            _log.error("%s", text, exc_info=error, extra=call_ids(call))
