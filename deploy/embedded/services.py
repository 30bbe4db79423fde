"""Our two services as programs of a stack: their environment, and when they serve."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from tenantmesh.deploy.embedded.ports import LOOPBACK, Ports
from tenantmesh.deploy.embedded.postgres import Postgres
from tenantmesh.deploy.embedded.processes import Child, Program
from tenantmesh.deploy.embedded.valkey import Store

__all__ = ["Service", "environment", "program", "services", "serving", "wait_serving"]

_START_SECONDS = 60.0
_KEK_VARIABLE = "TENANTMESH_TOKENS_KEK_FILE"
_PROBE_SECONDS = 1.0
_SIGNALS = ((15, 15.0),)


@dataclass(frozen=True, slots=True)
class Service:
    """One of our services on this machine."""

    package: str
    role: str
    port: int
    metrics_port: int
    credential: Path

    @property
    def target(self) -> str:
        """Its gRPC address."""
        return f"{LOOPBACK}:{self.port}"


def services(ports: Ports, state: Path) -> tuple[Service, Service]:
    """The two services, in the order in which they start: auth_svc asks tenant_svc."""
    return (
        Service("tenant_svc", "tenant", ports.tenant, ports.tenant_metrics, state / "tenant_svc.key"),
        Service("auth_svc", "auth", ports.auth, ports.auth_metrics, state / "auth_svc.key"),
    )


def environment(service: Service, ports: Ports, postgres: Postgres, store: Store, kek: Path) -> dict[str, str]:
    """What the service reads its settings from: ours, and whatever else the user has set."""
    inherited = {name: value for name, value in os.environ.items() if name != _KEK_VARIABLE}
    return {**_defaults(), **inherited, **_fixed(service, ports, postgres, store, kek)}


def program(service: Service, log: Path, variables: Mapping[str, str]) -> Program:
    """The service as something to start."""
    argv = (sys.executable, "-P", "-m", f"tenantmesh.{service.package}")
    return Program(service.package, argv, log, environment=variables, signals=_SIGNALS)


def wait_serving(service: Service, child: Child) -> None:
    """Waits until the service says that it serves. Raises EmbeddedError with its log's last line."""
    deadline = time.monotonic() + _START_SECONDS
    while not serving(service.target):
        if child.ended():
            raise child.failure("did not start")
        if time.monotonic() > deadline:
            raise child.failure(f"did not serve after {_START_SECONDS:.0f} s")
        time.sleep(0.02)


def serving(target: str) -> bool:
    """Asks a gRPC server whether it serves (grpc.health.v1)."""
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


def _defaults() -> dict[str, str]:
    """For development; the user's environment may say otherwise."""
    return {
        "TENANTMESH_SERVER_DRAIN_WAIT": "0",  # nobody waits for one machine's edge to notice
        "TENANTMESH_SERVER_GRACE": "2",
        "TENANTMESH_MESH_BASE_DOMAIN": "localhost",
        "TENANTMESH_MESH_TRUSTED_PROXIES": '["127.0.0.0/8"]',
        "TENANTMESH_TELEMETRY_LOG_FORMAT": "json",
    }


def _fixed(service: Service, ports: Ports, postgres: Postgres, store: Store, kek: Path) -> dict[str, str]:
    """What follows from the stack itself. Only the service that signs gets the key that unlocks its signing keys."""
    own = {_KEK_VARIABLE: str(kek)} if service.role == "auth" else {}
    return own | {
        "TENANTMESH_MODE": "development",
        "TENANTMESH_DATABASE_URL": postgres.url(f"{service.role}_app").get_secret_value(),
        "TENANTMESH_DATABASE_SYSTEM_URL": postgres.url(f"{service.role}_directory").get_secret_value(),
        "TENANTMESH_REDIS_URL": store.url.get_secret_value(),
        "TENANTMESH_REDIS_CLUSTER": str(store.cluster).lower(),
        "TENANTMESH_SERVER_LISTEN": service.target,
        "TENANTMESH_TELEMETRY_METRICS_LISTEN": f"{LOOPBACK}:{service.metrics_port}",
        "TENANTMESH_MESH_TENANT_TARGET": f"{LOOPBACK}:{ports.tenant}",
        "TENANTMESH_MESH_AUTH_TARGET": f"{LOOPBACK}:{ports.auth}",
        "TENANTMESH_MESH_CREDENTIAL": service.credential.read_text(encoding="utf-8").strip(),
        "TENANTMESH_TOKENS_ISSUER": f"http://{LOOPBACK}:{ports.edge}",
        "TENANTMESH_TOKENS_AUDIENCE": "tenantmesh",
    }
