"""The upstreams: where the services are, how the edge knows that they serve, how much it sends them."""

from __future__ import annotations

from tenantmesh.deploy.envoy.parts import Json, is_ip, seconds, socket_address, split_target, typed
from tenantmesh.deploy.envoy.settings import EdgeSettings, UpstreamTls

__all__ = ["clusters", "endpoint", "http2"]

# A process that is busy for a moment is not dead; one that says NOT_SERVING is out at once, whatever this number.
UNANSWERED_CHECKS = 3
RETRY_SHARE_PERCENT = 50
RETRIES_AT_LEAST = 50
# Answers that lie unread hold so much each, and 50 of them no more than a connection may have.
STREAM_WINDOW = 128 * 1024
CONNECTION_WINDOW = 16 * 1024 * 1024
REFUSED_CONNECTIONS = 5
PLAINTEXT = {"health": "plaintext"}


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
        "typed_extension_protocol_options": http2(settings.limits.upstream_streams),
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 30}},
        "common_lb_config": {
            # Else, once all say NOT_SERVING, all would get calls again.
            "healthy_panic_threshold": {"value": 0},
            # Else calls would see a change of health up to a second later than /healthz does.
            "update_merge_window": "0s",
        },
        "circuit_breakers": circuit_breakers(settings),
        "health_checks": [health_check(settings, name)],
        "outlier_detection": outliers(),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [process(*host, settings.health_distance(name)) for host in hosts]}],
        },
    }
    return rendered | source(settings) | security(settings, name)


def endpoint(host: str, port: int) -> Json:
    """Return one address of a cluster."""
    return {"endpoint": {"address": socket_address(host, port)}}


def process(host: str, port: int, health_distance: int | None) -> Json:
    """Return one process of a service, and the port where it answers health, unless that is the port of calls."""
    made = endpoint(host, port)
    if health_distance is not None:
        made["endpoint"]["health_check_config"] = {"port_value": port + health_distance}
    return made


def http2(streams: int = 100) -> Json:
    """Return HTTP/2 to the services. A connection that lay idle is probed before it is trusted with a call."""
    http = {
        "connection_keepalive": {"connection_idle_interval": "30s", "timeout": "5s"},
        "max_concurrent_streams": streams,
        "initial_stream_window_size": STREAM_WINDOW,
        "initial_connection_window_size": CONNECTION_WINDOW,
    }
    options = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config={"http2_protocol_options": http},
    )
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}


def outliers() -> Json:
    """Take out a process that refuses connections before its health check fails, never more than half of them.

    Answers don't count, not even UNAVAILABLE and DEADLINE_EXCEEDED: a caller can bring those about.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": REFUSED_CONNECTIONS,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_time": "10s",
        "max_ejection_percent": 50,
        "always_eject_one_host": False,
    }


def source(settings: EdgeSettings) -> Json:
    """Return the address that calls come from, where the services know the edge by it."""
    if settings.source_address is None:
        return {}
    return {"upstream_bind_config": {"source_address": {"address": settings.source_address, "port_value": 0}}}


def security(settings: EdgeSettings, name: str) -> Json:
    """Return TLS for calls, where it is set. The port of health has none: it says whether services serve."""
    if settings.upstream_tls is None:
        return {}
    plaintext = {
        "name": "envoy.transport_sockets.raw_buffer",
        "typed_config": typed("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"),
    }
    return {
        "transport_socket": mutual_tls(settings.upstream_tls, name),
        "transport_socket_matches": [{"name": "health", "match": PLAINTEXT, "transport_socket": plaintext}],
    }


def circuit_breakers(settings: EdgeSettings) -> Json:
    """Bound what waits for a slow upstream. Retries share a budget: the default of three at once fails a drain."""
    allowed = settings.limits.upstream_requests
    budget = {"budget_percent": {"value": RETRY_SHARE_PERCENT}, "min_retry_concurrency": RETRIES_AT_LEAST}
    threshold = {"max_requests": allowed, "max_pending_requests": allowed, "retry_budget": budget}
    return {"thresholds": [threshold]}


def health_check(settings: EdgeSettings, name: str) -> Json:
    """Ask grpc.health.v1.Health/Check for the process as a whole."""
    interval = seconds(settings.limits.health_interval)
    own_port = settings.health_distance(name) is not None
    return {
        **({"transport_socket_match_criteria": PLAINTEXT} if own_port else {}),
        "timeout": seconds(settings.limits.health_timeout),
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
