"""The grpc.health.v1 protocol over a Health. It needs no credential, so what it holds open is bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.runtime.health.checks import Health, Status
from tenantmesh.runtime.health.places import WatchPlaces

__all__ = ["HealthServicer"]

_Context: TypeAlias = "grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]"

_untyped: Any = health_pb2
"""The same module: its type stubs are older than the method List."""


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Check, List and Watch. A watch for which there is no place is RESOURCE_EXHAUSTED."""

    def __init__(self, health: Health, places: WatchPlaces) -> None:
        self._health = health
        self._places = places

    async def Check(self, request: health_pb2.HealthCheckRequest, context: _Context) -> health_pb2.HealthCheckResponse:
        """Answer a service's status; NOT_FOUND for a name that this process does not serve."""
        status = self._health.status(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service; the empty name asks for the whole process")
        return _response(status)

    async def List(self, _request: Any, _context: _Context) -> Any:
        """Answer the status of every service and, under the empty name, of the whole process."""
        statuses = self._health.statuses()
        return _untyped.HealthListResponse(statuses={name: _response(statuses[name]) for name in statuses})

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: _Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Answer the status now and after each change; SERVICE_UNKNOWN for a name that this process does not serve."""
        peer = context.peer()
        if not self._places.take(peer):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many health watches; poll Check instead")
        try:
            async with aclosing(self._health.watch(request.service)) as statuses:
                async for status in statuses:
                    yield _response(status)
        finally:
            self._places.give_back(peer)


def _response(status: Status) -> health_pb2.HealthCheckResponse:
    return health_pb2.HealthCheckResponse(status=status)
