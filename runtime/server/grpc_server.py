"""Makes the grpc.aio server: every limit set on purpose, one handler, TLS whose certificates may rotate."""

from __future__ import annotations

from datetime import timedelta

import grpc
from grpc_channelz.v1 import channelz_pb2_grpc
from grpc_channelz.v1.channelz import aio as channelz
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.runtime.health import HealthServicer, WatchPlaces
from tenantmesh.runtime.server import reflection
from tenantmesh.runtime.server.application import Application, ServicerRegistration
from tenantmesh.runtime.server.handlers import collected
from tenantmesh.runtime.server.tls import credentials
from tenantmesh.runtime.settings import ServerSettings

__all__ = ["bind", "make_channelz_server", "make_server", "options", "watch_places"]

JSON_GROWTH = 6
"""How many times as large as its JSON a message may be: a number of two characters takes eleven bytes."""
HEALTH_SERVICE: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


class AddressTaken(Exception):
    """The address to listen on cannot be bound; the message says how to choose another."""


def make_server(
    application: Application, settings: ServerSettings, places: WatchPlaces | None = None
) -> grpc.aio.Server:
    """Return a server bound to `settings.listen`, not started. Raises AddressTaken, or OSError for unreadable keys.

    places: those of its health watches, for a caller who counts them.
    """
    server = grpc.aio.server(interceptors=list(application.interceptors), options=options(settings))
    server.add_generic_rpc_handlers(
        (collected(_registrations(application, settings, places or watch_places(settings))),)
    )
    bind(server, settings.listen, credentials(settings), "TENANTMESH_SERVER_LISTEN")
    return server


def make_channelz_server(address: str) -> grpc.aio.Server:
    """Return a server of channelz alone, for an address that only operators reach."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    channelz_pb2_grpc.add_ChannelzServicer_to_server(channelz.ChannelzServicer(), server)
    bind(server, address, None, "TENANTMESH_SERVER_CHANNELZ_LISTEN")
    return server


def watch_places(settings: ServerSettings) -> WatchPlaces:
    """Return the places of health watches at one port."""
    return WatchPlaces(settings.max_health_watchers, settings.max_health_watchers_per_address)


def _registrations(
    application: Application, settings: ServerSettings, places: WatchPlaces
) -> list[ServicerRegistration]:
    health = HealthServicer(application.health, places)
    registrations = [*application.services, (health_pb2_grpc.add_HealthServicer_to_server, health)]
    if settings.reflection:
        served, mesh = (*application.names, HEALTH_SERVICE), (*application.mesh_names, HEALTH_SERVICE)
        registrations += reflection.registrations(served, mesh)
    return registrations


def bind(
    server: grpc.aio.Server | grpc.Server, address: str, secured: grpc.ServerCredentials | None, variable: str
) -> None:
    """Have a server listen on an address. Raises AddressTaken, which names the variable that sets another."""
    try:
        if secured is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, secured)
    except RuntimeError as error:
        raise AddressTaken(
            f"cannot listen on {address}: something else does, or the address is not this machine's; "
            f"choose another with {variable}"
        ) from error


def options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return gRPC's own options for a server with these settings."""
    return [
        ("grpc.so_reuseport", 0),  # else a stray process silently takes half of the calls
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.server.max_pending_requests", settings.max_pending_requests),
        ("grpc.server.max_pending_requests_hard_limit", 2 * settings.max_pending_requests),
        # The chain refuses with a reason what is beyond its limit. gRPC's own refusal has none; it counts as cancelled.
        ("grpc.max_receive_message_length", JSON_GROWTH * settings.max_request_bytes),
        ("grpc.max_send_message_length", settings.max_response_bytes),
        ("grpc.max_metadata_size", settings.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.max_metadata_bytes),
        ("grpc.max_connection_age_ms", _milliseconds(settings.max_connection_age)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(settings.max_connection_age_grace)),
        ("grpc.max_connection_idle_ms", _milliseconds(settings.max_connection_idle)),
        ("grpc.server_handshake_timeout_ms", _milliseconds(settings.handshake_timeout)),
        ("grpc.keepalive_time_ms", _milliseconds(settings.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _milliseconds(settings.keepalive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        (
            "grpc.http2.min_recv_ping_interval_without_data_ms",
            _milliseconds(settings.keepalive_min_client_interval),
        ),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.enable_channelz", int(settings.channelz_listen is not None)),
    ]


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)
