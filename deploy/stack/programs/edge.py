"""The edge as a program of a stack: Envoy. `deploy.envoy` makes its configuration."""

from __future__ import annotations

import http.client
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from tenantmesh.deploy import envoy
from tenantmesh.deploy.stack.engines import binaries
from tenantmesh.deploy.stack.ports import EDGE_ADDRESS, LOOPBACK, Port, PortNumbers
from tenantmesh.deploy.stack.programs.program import AddressLine, Program, ProgramState, Surroundings
from tenantmesh.deploy.stack.programs.service import worker_steps
from tenantmesh.deploy.stack.supervision.command import Command
from tenantmesh.runtime.settings import ENVIRONMENT_PREFIX

__all__ = ["LIMITS_VARIABLE", "NO_ENVOY", "ORIGINS_VARIABLE", "EdgeProgram", "healthz"]

NO_ENVOY = "no Envoy for this platform - REST and gRPC-Web are off, gRPC works"
ORIGINS_VARIABLE = "TENANTMESH_CORS_ORIGINS"
LIMITS_VARIABLE = "TENANTMESH_EDGE_LIMITS"
_LIMITS = envoy.EdgeLimits(address_groups=1)
"""On a machine of one person nearly all calls come from one address."""

_PROBE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class EdgeProgram(Program):
    """Envoy in front of both services."""

    listen: Port
    admin: Port
    start_seconds: ClassVar[float] = 30.0

    @property
    def title(self) -> str:
        """The program that serves it, with its version."""
        return f"envoy {binaries.version(binaries.ENVOY)}"

    @property
    def ports(self) -> tuple[Port, ...]:
        """The port for callers and the port where Envoy's metrics and state can be read."""
        return (self.listen, self.admin)

    def detail(self, ports: PortNumbers) -> str:
        """Return the protocols that it serves."""
        del ports
        return "REST, gRPC and gRPC-Web edge"

    def address(self, ports: PortNumbers) -> str:
        """Return the URL at which it answers REST, gRPC and gRPC-Web."""
        return f"http://{LOOPBACK}:{ports[self.listen.name]}"

    def address_lines(self, ports: PortNumbers) -> list[AddressLine]:
        """Return the lines of the edge and of Envoy's own metrics and state."""
        return [
            (self.name, self.address(ports), "REST, gRPC and gRPC-Web"),
            (
                "envoy state",
                f"http://{LOOPBACK}:{ports[self.admin.name]}/stats/prometheus",
                "metrics; for reading only",
            ),
        ]

    def command(self, around: Surroundings) -> Command:
        """Write the configuration into the state folder, and return the command that serves it."""
        ports = around.ports
        settings = envoy.EdgeSettings(
            port=ports[self.listen.name],
            admin_port=ports[self.admin.name],
            admin_socket=around.places.edge_socket,
            tenant=workers(ports["tenant"]),
            auth=workers(ports["auth"]),
            tenant_health_port=ports["tenant_health"],
            auth_health_port=ports["auth_health"],
            source_address=EDGE_ADDRESS,
            limits=_LIMITS.changed(around.edge_limits),
            reflection=True,
            cors_origins=around.cors_origins,
            **_tracing(os.environ),
        )
        path = envoy.write(settings, around.places.state / "envoy.json")
        argv = tuple(envoy.command(path, concurrency=min(2, os.cpu_count() or 1)))
        log = around.places.log("envoy")
        return Command("envoy", argv, log, environment={"PATH": os.defpath}, signals=((15, 5.0),))

    def examine(self, address: str) -> ProgramState:
        """Ask the edge whether both services serve."""
        status = healthz(address)
        return ProgramState(status == http.client.OK, f"{address}/healthz answers {status or 'nothing'}")

    def missing(self) -> str:
        """Return that there is no Envoy, where there is none."""
        return "" if envoy.binary() else NO_ENVOY


def workers(port: int) -> tuple[str, ...]:
    """Return where the worker processes of a service listen."""
    return tuple(f"{LOOPBACK}:{port + step}" for step in (0, *worker_steps()))


def _tracing(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the edge's settings of traces, from the variables that the services read."""
    endpoint = environment.get(f"{ENVIRONMENT_PREFIX}TELEMETRY_OTLP_ENDPOINT")
    if not endpoint:
        return {}
    place = urlsplit(endpoint).netloc if "://" in endpoint else endpoint
    ratio = environment.get(f"{ENVIRONMENT_PREFIX}TELEMETRY_TRACE_RATIO")
    return {"otlp": place} | ({"trace_ratio": float(ratio)} if ratio else {})


def healthz(url: str) -> int | None:
    """Return the status with which the edge at this URL answers GET /healthz. None: no answer."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or LOOPBACK, place.port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
