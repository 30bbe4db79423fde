"""An edge's settings: addresses, upstreams, limits, certificates. Not here: the configuration made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tenantmesh.deploy.envoy.limits import EdgeLimits
from tenantmesh.deploy.envoy.parts import split_target
from tenantmesh.policy.v1 import policy_pb2

__all__ = ["DownstreamTls", "EdgeSettings", "UpstreamTls", "default_descriptors"]


def default_descriptors() -> Path:
    """Return the descriptor set that came with the stubs: inside the package in a wheel, beside it in a checkout.

    An editable install has a copy of its own, as old as the install. The stubs lead past it.
    """
    package = Path(policy_pb2.__file__).parents[2]
    inside = package / "descriptors.binpb"
    return inside if inside.exists() else package.parent / "descriptors.binpb"


@dataclass(frozen=True, slots=True, kw_only=True)
class DownstreamTls:
    """Certificates for those who call the edge. All are PEM files that Envoy reads at start."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    """Asks callers for a certificate signed by this authority, and hands its identity to the services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTls:
    """Mutual TLS from the edge to the services. All are PEM files that Envoy reads at start."""

    ca: Path
    certificate: Path
    key: Path
    identities: Mapping[str, str]
    """The SPIFFE id that each upstream (`tenant`, `auth`) must present; any other certificate is refused."""

    def expected(self, upstream: str) -> str:
        """Return the identity of an upstream. Raises ValueError when none is set: any certificate would do."""
        if not self.identities.get(upstream):
            raise ValueError(f"upstream_tls has no identity for {upstream}; name the SPIFFE id that it must present")
        return self.identities[upstream]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """Everything that makes one edge differ from another. Defaults are the development mesh on this machine."""

    address: str = "127.0.0.1"
    port: int = 8080
    admin_address: str = "127.0.0.1"
    admin_port: int | None = 9901
    """Where Envoy's metrics and state can be read, and nothing changed: keep it on loopback. None: nowhere."""

    admin_socket: Path | None = None
    """The Unix socket of Envoy's own interface, which can stop the edge; its owner alone may use it. None: a socket in
    Linux's abstract namespace, which has no owner."""

    tenant: tuple[str, ...] = ("127.0.0.1:50051",)
    auth: tuple[str, ...] = ("127.0.0.1:50052",)
    """Where each service listens, `host:port`, one entry per worker process."""

    tenant_health_port: int | None = None
    auth_health_port: int | None = None
    """Where the first process of a service answers health while it is busy; the others' are at the same distance from
    the port of their calls. None: the edge asks at the port of calls."""

    source_address: str | None = None
    """The address from which the edge calls the services, which believe what it says of callers. None: any."""

    between_processes: bool = False
    """Routes the methods that only processes of the mesh call too, for services that reach each other through here."""

    descriptors: Path = field(default_factory=default_descriptors)
    reflection: bool = False
    """Lets callers read the schema through the edge; for development."""

    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call: `https://app.example.com`, or `https://*.example.com` for any one label."""

    trusted_hops: int = 0
    """Proxies in front of the edge whose `x-forwarded-for` entries are believed."""

    access_log: bool = False

    otlp: str | None = None
    """Where the edge sends its spans: the `host:port` of an OTLP/gRPC collector. None: it makes none."""

    trace_ratio: float = 0.05
    """The part of the calls without a trace of their own that are traced."""

    downstream_tls: DownstreamTls | None = None
    upstream_tls: UpstreamTls | None = None
    limits: EdgeLimits = field(default_factory=EdgeLimits)

    @property
    def upstreams(self) -> dict[str, tuple[str, ...]]:
        """Cluster name → addresses. `contract.UPSTREAM_OF` says which proto packages each cluster serves."""
        return {"tenant": self.tenant, "auth": self.auth}

    def health_distance(self, upstream: str) -> int | None:
        """Return how far the health port of a process is from the port of its calls. None: it has no such port."""
        port = {"tenant": self.tenant_health_port, "auth": self.auth_health_port}.get(upstream)
        return None if port is None else port - split_target(self.upstreams[upstream][0])[1]
