"""The edge's own spans, which begin the trace of a call that comes without one."""

from __future__ import annotations

from tenantmesh.deploy.envoy.clusters import endpoint, http2
from tenantmesh.deploy.envoy.parts import Json, is_ip, seconds, split_target, typed
from tenantmesh.deploy.envoy.settings import EdgeSettings

__all__ = ["collector", "flushing", "tracing"]

COLLECTOR = "otlp"
TIMEOUT = "1s"
FLUSH_MILLISECONDS = 1000
"""How often spans are sent; an edge that stops loses those of the time since then. Envoy's own default is 5 s."""


def tracing(settings: EdgeSettings) -> Json:
    """Return the tracing of the connection manager: nothing where no collector is set."""
    if settings.otlp is None:
        return {}
    exporter = {"envoy_grpc": {"cluster_name": COLLECTOR}, "timeout": TIMEOUT}
    tracer = typed("envoy.config.trace.v3.OpenTelemetryConfig", grpc_service=exporter, service_name="edge")
    provider = {"name": "envoy.tracers.opentelemetry", "typed_config": tracer}
    sampled = {"value": settings.trace_ratio * 100}
    # Callers have no say by x-client-trace-id; a traceparent with the flag is followed.
    ratios = {"random_sampling": sampled, "client_sampling": {"value": 0}, "overall_sampling": {"value": 100}}
    return {"tracing": {"provider": provider, "spawn_upstream_span": True, **ratios}}


def flushing(settings: EdgeSettings) -> Json:
    """Return the setting of Envoy's runtime that says when spans are sent."""
    if settings.otlp is None:
        return {}
    layer = {"tracing": {"opentelemetry": {"flush_interval_ms": FLUSH_MILLISECONDS}}}
    return {"layered_runtime": {"layers": [{"name": "traces", "static_layer": layer}]}}


def collector(settings: EdgeSettings) -> list[Json]:
    """Return the cluster of the collector, where one is set. Raises ValueError for an address that is no host:port."""
    if settings.otlp is None:
        return []
    host, port = split_target(settings.otlp)
    return [
        {
            "name": COLLECTOR,
            "type": "STATIC" if is_ip(host) else "STRICT_DNS",
            "connect_timeout": seconds(settings.limits.connect),
            "typed_extension_protocol_options": http2(),
            "load_assignment": {
                "cluster_name": COLLECTOR,
                "endpoints": [{"lb_endpoints": [endpoint(host, port)]}],
            },
        }
    ]
