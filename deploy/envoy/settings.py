"""An edge's settings: addresses, upstreams, limits, certificates. Not here: the configuration made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tenantmesh.policy.v1 import policy_pb2

__all__ = ["DownstreamTls", "EdgeLimits", "EdgeSettings", "UpstreamTls", "default_descriptors"]

MIB = 1024 * 1024


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
class EdgeLimits:
    """The limits of the edge, beyond which it refuses a call. Sizes are bytes."""

    request_body: int = 1 * MIB
    """The largest body of a REST call. gRPC messages are bounded one by one by the services."""

    response_body: int = 16 * MIB
    """The largest answer that is turned into JSON."""

    request_headers_kib: int = 16
    connections: int = 10_000
    streams_per_connection: int = 100
    upstream_requests: int = 10_000
    """Calls under way per upstream; one more is refused with 503."""

    heap: int = 1024 * MIB
    """Envoy's own memory; at 95 % of it new requests are refused."""

    request_headers: timedelta = timedelta(seconds=15)
    """How long a caller may take to send a request's headers."""

    idle_stream: timedelta = timedelta(minutes=5)
    """How long a stream may be silent in both directions. What answers once is bounded by its policy instead."""

    connect: timedelta = timedelta(seconds=1)
    health_interval: timedelta = timedelta(seconds=1)
    """How often upstreams are asked whether they serve. A draining service must wait longer than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSettings:
    """Everything that makes one edge differ from another. Defaults are the development mesh on this machine."""

    address: str = "127.0.0.1"
    port: int = 8080
    admin_address: str = "127.0.0.1"
    admin_port: int | None = 9901
    """Envoy's own interface. It can stop the edge: keep it on loopback. None: no such interface."""

    tenant: tuple[str, ...] = ("127.0.0.1:50051",)
    auth: tuple[str, ...] = ("127.0.0.1:50052",)
    """Where each service listens, `host:port`, one entry per worker process."""

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
    limits: EdgeLimits = EdgeLimits()

    @property
    def upstreams(self) -> dict[str, tuple[str, ...]]:
        """Cluster name → addresses. `contract.UPSTREAM_OF` says which proto packages each cluster serves."""
        return {"tenant": self.tenant, "auth": self.auth}
