"""A service: a program of ours that answers gRPC calls and says by the standard health check whether it serves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import grpc
from grpc_health.v1 import health_pb2
from pydantic import ValidationError

from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.deploy.stack.ports import EDGE_ADDRESS, LOOPBACK, Port, PortNumbers
from tenantmesh.deploy.stack.programs.program import AddressLine, ProgramState, Surroundings
from tenantmesh.deploy.stack.programs.python_program import PythonProgram
from tenantmesh.runtime.settings import ENVIRONMENT_PREFIX, ServerSettings

__all__ = ["SERVICE_DEFAULTS", "ServiceProgram", "serving", "worker_steps"]

_PROBE_SECONDS = 1.0
_WORKERS = {name: f"{ENVIRONMENT_PREFIX}SERVER_{name.upper()}" for name in ("workers", "worker_port_step")}
SERVICE_DEFAULTS = MappingProxyType(
    {
        "TENANTMESH_SERVER_DRAIN_WAIT": "0",  # nobody waits for one machine's edge to notice
        "TENANTMESH_SERVER_GRACE": "2",
        "TENANTMESH_MESH_BASE_DOMAIN": "localhost",
        "TENANTMESH_MESH_TRUSTED_PROXIES": f"{EDGE_ADDRESS}/32",
        "TENANTMESH_TELEMETRY_LOG_FORMAT": "json",
    }
)


@dataclass(frozen=True, kw_only=True)
class ServiceProgram(PythonProgram):
    """One of our gRPC servers."""

    listen: Port
    health: Port
    defaults: Mapping[str, str] = field(default_factory=lambda: SERVICE_DEFAULTS)

    @property
    def ports(self) -> tuple[Port, ...]:
        """The ports of its calls, of its health and of its metrics."""
        return (self.listen, self.health, self.metrics)

    def detail(self, ports: PortNumbers) -> str:
        """Return its gRPC address."""
        return self.address(ports)

    def address(self, ports: PortNumbers) -> str:
        """Return its gRPC address."""
        return f"{LOOPBACK}:{ports[self.listen.name]}"

    def address_lines(self, ports: PortNumbers) -> list[AddressLine]:
        """Return the line with its gRPC address."""
        return [(self.name, self.address(ports), "gRPC, plaintext, reflection on")]

    def own_settings(self, around: Surroundings) -> dict[str, str]:
        """Return the addresses on which it listens."""
        return super().own_settings(around) | {
            "TENANTMESH_SERVER_LISTEN": self.address(around.ports),
            "TENANTMESH_SERVER_HEALTH_LISTEN": f"{LOOPBACK}:{around.ports[self.health.name]}",
        }

    def examine(self, address: str) -> ProgramState:
        """Ask its health check, at the port of calls: it is ready once that answers."""
        up = serving(address)
        return ProgramState(up, f"{address} {'serves' if up else 'does not serve'}")


def worker_steps() -> tuple[int, ...]:
    """Return how far beyond the ports of a service those of its second and further workers are. A service reads their
    number from the same variables."""
    given = {name: os.environ[variable] for name, variable in _WORKERS.items() if variable in os.environ}
    try:
        server = ServerSettings.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(f"{_WORKERS[str(each['loc'][0])]}: {each['msg']}" for each in error.errors())
        raise StackError(f"{wrong}.", remedy="Correct the variable, or unset it.") from error
    return tuple(worker * server.worker_port_step for worker in range(1, server.workers))


def serving(target: str) -> bool:
    """Return whether the gRPC server at this address serves (grpc.health.v1)."""
    with grpc.insecure_channel(target, options=[("grpc.enable_retries", 0)]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=_PROBE_SECONDS)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
