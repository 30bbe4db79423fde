"""The addresses of an edge must be possible, and each must be of one thing."""

from __future__ import annotations

from collections.abc import Iterator

from tenantmesh.deploy.envoy.parts import PORTS, split_target
from tenantmesh.deploy.envoy.settings import EdgeSettings

__all__ = ["check_addresses"]


def check_addresses(settings: EdgeSettings) -> None:
    """Raise ValueError for a port that does not exist, and for an address that is given to two things."""
    holders: dict[tuple[str, int], str] = {}
    for what, host, port in _addresses(settings):
        if port not in PORTS:
            raise ValueError(f"{what} has the port {port}, and ports are {PORTS.start} to {PORTS.stop - 1}")
        if earlier := holders.get((host, port)):
            raise ValueError(f"{earlier} and {what} have the same address: {host}:{port}")
        holders[host, port] = what
    if settings.admin_port == settings.port:  # one of the two may listen on every address of the machine
        raise ValueError(f"the edge and its admin interface have the same port: {settings.port}")


def _addresses(settings: EdgeSettings) -> Iterator[tuple[str, str, int]]:
    """Yield everything that has an address: a name for it, the host, and the port."""
    yield "the edge", settings.address, settings.port
    if settings.admin_port is not None:
        yield "the edge's admin interface", settings.admin_address, settings.admin_port
    for service, targets in settings.upstreams.items():
        for number, target in enumerate(targets, start=1):
            name = f"{service} {number}" if len(targets) > 1 else service
            host, port = split_target(target)
            yield name, host, port
            if (distance := settings.health_distance(service)) is not None:
                yield f"the health of {name}", host, port + distance
    if settings.otlp is not None:
        yield "the collector", *split_target(settings.otlp)
