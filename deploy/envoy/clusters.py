"""The upstreams: where the services are, how the edge knows that they serve, how much it sends them."""

from __future__ import annotations

from tenantmesh.deploy.envoy.parts import Json, is_ip, seconds, socket_address, split_target, typed
from tenantmesh.deploy.envoy.settings import EdgeSettings, UpstreamTls

__all__ = ["clusters", "endpoint", "http2"]

HEALTH_TIMEOUT = "1s"
# A process that is busy for a moment is not dead; one that says NOT_SERVING is out at once, whatever this number.
UNANSWERED_CHECKS = 3
RETRY_SHARE_PERCENT = 20


def clusters(settings: EdgeSettings) -> list[Json]:
    """Return one cluster per upstream. Raises ValueError for an address that is no host:port."""
    return [cluster(name, targets, settings) for name, targets in settings.upstreams.items()]


def cluster(name: str, targets: tuple[str, ...], settings: EdgeSettings) -> Json:
    """Return a cluster of gRPC processes, each on its own port, since one HTTP/2 connection sticks to one process."""
    if not targets:
        raise ValueError(f"upstream {name} has no address")
    hosts = [split_target(target) for target in targets]
    known = all(is_ip(host) for host, _ in hosts)
    rendered: Json = {
        "name": name,
        "type": "STATIC" if known else "STRICT_DNS",
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": seconds(settings.limits.connect),
        "typed_extension_protocol_options": http2(),
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30}},
        "common_lb_config": {
            # Else, once all say NOT_SERVING, all would get calls again.
            "healthy_panic_threshold": {"value": 0},
            # Else calls would see a change of health up to a second later than /healthz does.
            "update_merge_window": "0s",
        },
        "circuit_breakers": circuit_breakers(settings),
        "health_checks": [health_check(settings)],
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(*host) for host in hosts]}]},
    }
    return rendered | ({"transport_socket": mutual_tls(settings.upstream_tls, name)} if settings.upstream_tls else {})


def endpoint(host: str, port: int) -> Json:
    """Return one process of a cluster."""
    return {"endpoint": {"address": socket_address(host, port)}}


def http2() -> Json:
    """Return HTTP/2 to the services. A connection that lay idle is probed before it is trusted with a call."""
    keepalive = {"connection_idle_interval": "30s", "timeout": "5s"}
    options = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http2_protocol_options": {"connection_keepalive": keepalive}},
    )
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}


def circuit_breakers(settings: EdgeSettings) -> Json:
    """Bound what waits for a slow upstream. Retries share a budget: the default of three at once fails a drain."""
    allowed = settings.limits.upstream_requests
    budget = {"budget_percent": {"value": RETRY_SHARE_PERCENT}, "min_retry_concurrency": 10}
    threshold = {"max_requests": allowed, "max_pending_requests": allowed, "retry_budget": budget}
    return {"thresholds": [threshold]}


def health_check(settings: EdgeSettings) -> Json:
    """Ask grpc.health.v1.Health/Check for the process as a whole."""
    interval = seconds(settings.limits.health_interval)
    return {
        "timeout": HEALTH_TIMEOUT,
        "interval": interval,
        "no_traffic_interval": interval,
        "unhealthy_interval": seconds(settings.limits.health_interval / 2),
        "no_traffic_healthy_interval": interval,
        "unhealthy_threshold": UNANSWERED_CHECKS,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }


def mutual_tls(tls: UpstreamTls, name: str) -> Json:
    """Show the edge's certificate and accept only the upstream's own SPIFFE identity."""
    expected = {"san_type": "URI", "matcher": {"exact": tls.expected(name)}}
    context = typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        common_tls_context={
            # Without the maximum Envoy's client stays at TLS 1.2, which the services refuse.
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
            "alpn_protocols": ["h2"],
            "tls_certificates": [
                {"certificate_chain": {"filename": str(tls.certificate)}, "private_key": {"filename": str(tls.key)}}
            ],
            "validation_context": {
                "trusted_ca": {"filename": str(tls.ca)},
                "match_typed_subject_alt_names": [expected],
            },
        },
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}
