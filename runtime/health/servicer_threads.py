"""The grpc.health.v1 protocol in threads: answered while the event loop, which computes the health, is busy.

It answers what the loop has found last. A loop that has not moved for longer than `stuck_after` is no busy one: then
nothing serves.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.runtime.health.checks import NOT_SERVING, SERVICE_UNKNOWN, Health, Status
from tenantmesh.runtime.health.places import WatchPlaces
from tenantmesh.runtime.health.pulse import Pulse

__all__ = ["ThreadedHealthServicer"]

_LOOK_SECONDS = 1.0
"""How often a watch looks whether the loop still moves. A change of the health itself wakes it at once."""

_untyped: Any = health_pb2
"""The same module: its type stubs are older than the method List."""


class ThreadedHealthServicer(health_pb2_grpc.HealthServicer):
    """Check, List and Watch. A watch holds a thread; one for which there is no place is RESOURCE_EXHAUSTED."""

    def __init__(self, health: Health, pulse: Pulse, places: WatchPlaces, *, stuck_after: timedelta) -> None:
        self._health = health
        self._pulse = pulse
        self._stuck_after = stuck_after
        self._places = places
        self._changed = threading.Condition()
        health.on_change(self._wake)

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Answer a service's status; NOT_FOUND for a name that this process does not serve."""
        status = self._status(request.service)
        if status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service; the empty name asks for the whole process")
        return health_pb2.HealthCheckResponse(status=status)

    def List(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        """Answer the status of every service and, under the empty name, of the whole process."""
        statuses = {name: self._status(name) for name in self._health.statuses()}
        answers = {name: health_pb2.HealthCheckResponse(status=status) for name, status in statuses.items()}
        return _untyped.HealthListResponse(statuses=answers)

    def Watch(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        """Answer the status now and after each change; SERVICE_UNKNOWN for a name that this process does not serve."""
        peer = context.peer()
        if not self._places.take(peer):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many health watches; poll Check instead")
        try:
            context.add_callback(self._wake)  # a watch whose caller has left looks up, and ends
            for status in self._changes(request.service, context):
                yield health_pb2.HealthCheckResponse(status=status)
        finally:
            self._places.give_back(peer)

    def _changes(self, service: str, context: grpc.ServicerContext) -> Iterator[Status]:
        last: Status | None = None
        while context.is_active() and not self._health.closed:
            status = self._status(service)
            current = SERVICE_UNKNOWN if status is None else status
            if current != last:
                last = current
                yield current
            else:
                self._wait(service, status, context)

    def _wait(self, service: str, status: Status | None, context: grpc.ServicerContext) -> None:
        with self._changed:
            if self._status(service) == status and context.is_active() and not self._health.closed:
                self._changed.wait(_LOOK_SECONDS)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _status(self, service: str) -> Status | None:
        found = self._health.status(service)
        return found if found is None or self._pulse.still_for <= self._stuck_after else NOT_SERVING
