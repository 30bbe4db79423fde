"""grpc.health.v1 for one process: services, the checks each needs (`checks`), and the protocol over them, in the event
loop (`servicer`) and in threads that answer while the loop is busy (`servicer_threads`, by its `pulse`).

What a service can do without (a cache, a rate limiter's store) is no check. A name is a service, never a tenant.
"""

from __future__ import annotations

from tenantmesh.runtime.health.checks import NOT_SERVING, OVERALL, SERVICE_UNKNOWN, SERVING, Check, Health
from tenantmesh.runtime.health.places import WatchPlaces
from tenantmesh.runtime.health.pulse import Pulse
from tenantmesh.runtime.health.servicer import HealthServicer
from tenantmesh.runtime.health.servicer_threads import ThreadedHealthServicer
from tenantmesh.runtime.health.watch_metrics import watch_metrics

__all__ = [
    "NOT_SERVING",
    "OVERALL",
    "SERVICE_UNKNOWN",
    "SERVING",
    "Check",
    "Health",
    "HealthServicer",
    "Pulse",
    "ThreadedHealthServicer",
    "WatchPlaces",
    "watch_metrics",
]
