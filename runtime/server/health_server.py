"""The server of a port that answers health alone, in threads of its own: a busy event loop is no dead process."""

from __future__ import annotations

from concurrent import futures

import grpc
from grpc_health.v1 import health_pb2_grpc
from prometheus_client.core import GaugeMetricFamily

from tenantmesh.runtime.health import Pulse, ThreadedHealthServicer, WatchPlaces
from tenantmesh.runtime.server.application import Application
from tenantmesh.runtime.server.grpc_server import bind
from tenantmesh.runtime.settings import ServerSettings

__all__ = ["loop_stillness", "make_health_server"]

ANSWERING_THREADS = 4
OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.max_receive_message_length", 4096),
    ("grpc.max_metadata_size", 4096),
    ("grpc.absolute_max_metadata_size", 4096),
    # A call whose request never comes holds a thread. It ends with its connection.
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 10_000),
    ("grpc.server_handshake_timeout_ms", 10_000),
)


def make_health_server(
    address: str, application: Application, pulse: Pulse, settings: ServerSettings, places: WatchPlaces
) -> grpc.Server:
    """Return a server bound to the address, not started. Raises AddressTaken.

    Without TLS, since probes of schedulers have no certificate: it tells whether services serve, and nothing else.
    """
    pool = futures.ThreadPoolExecutor(ANSWERING_THREADS + settings.max_health_watchers, thread_name_prefix="health")
    server = grpc.server(pool, options=OPTIONS)
    servicer = ThreadedHealthServicer(application.health, pulse, places, stuck_after=settings.health_stuck_after)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    bind(server, address, None, "TENANTMESH_SERVER_HEALTH_LISTEN")
    return server


def loop_stillness(pulse: Pulse) -> GaugeMetricFamily:
    """Return the metric of a loop that stands still."""
    still = pulse.still_for.total_seconds()
    return GaugeMetricFamily("tenantmesh_loop_still_seconds", "How long the event loop has not moved.", value=still)
