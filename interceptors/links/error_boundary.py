"""Link 3: what goes wrong inside becomes a status; what is not the caller's to see stays in the log."""

from __future__ import annotations

import asyncio
import logging

import grpc

from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.errors import Internal, Kind, MeshError
from tenantmesh.interceptors.link import Link

__all__ = ["Aborted", "ErrorBoundary"]

_log = logging.getLogger("tenantmesh.error")


class Aborted(Exception):
    """The handler ended the call itself, with `context.abort`; its status stands."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self.code = code


class ErrorBoundary(Link):
    """Turns `call.error` into a MeshError and sets `call.code`.

    An exception that is not a MeshError is ours by definition: it becomes Internal, with the traceback in the log under
    the request id, since its text may hold anything (gRPC itself would send it to the client).
    """

    def leave(self, call: Call) -> None:
        """Decides what the caller sees."""
        error = call.error
        if error is None:
            return
        if isinstance(error, Aborted):
            call.code = error.code
            return
        if isinstance(error, asyncio.CancelledError | GeneratorExit):
            if call.ended_by is None:
                call.code = grpc.StatusCode.CANCELLED
                return
            error = call.error = call.ended_by
        if not isinstance(error, MeshError):
            _log.error("unexpected exception", exc_info=error, extra=_where(call))
            call.error = error = Internal("INTERNAL", "unexpected exception")
        elif error.kind is Kind.INTERNAL:
            _log.error("internal error: %s", error.message, exc_info=error, extra=_where(call))
        call.code = grpc.StatusCode[error.kind.name]


def _where(call: Call) -> dict[str, str]:
    return {"request_id": call.request_id, "method": call.method}
