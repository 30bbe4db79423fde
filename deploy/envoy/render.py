"""Puts the edge together: connections, admin interface, overload limits. The parts are in the modules beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tenantmesh.deploy.envoy.addresses import check_addresses
from tenantmesh.deploy.envoy.admin import admin, admin_cluster, reader
from tenantmesh.deploy.envoy.clusters import clusters
from tenantmesh.deploy.envoy.contract import Contract, read
from tenantmesh.deploy.envoy.filters import early_mutations, http_filters
from tenantmesh.deploy.envoy.listener import listener, protocols
from tenantmesh.deploy.envoy.parts import Json, typed
from tenantmesh.deploy.envoy.replies import local_reply_config
from tenantmesh.deploy.envoy.routes import virtual_host
from tenantmesh.deploy.envoy.settings import DownstreamTls, EdgeSettings
from tenantmesh.deploy.envoy.traces import collector, flushing, tracing

__all__ = ["render", "write"]

REFUSE_AT = 0.95
SHRINK_AT = 0.75
NEVER = 1_000_000_000
MONITORS = "envoy.extensions.resource_monitors"


def render(settings: EdgeSettings) -> Json:
    """Return Envoy's whole configuration. Raises UnusableContract or ValueError that say what can't be served."""
    check_addresses(settings)
    contract = read(settings.descriptors, settings.upstreams)
    return {
        "node": {"id": "edge", "cluster": "tenantmesh"},
        "overload_manager": overload_manager(settings),
        "layered_runtime": {"layers": [{"name": "edge", "static_layer": runtime(settings)}]},
        "static_resources": {
            "listeners": [listener(settings, connection_manager(settings, contract)), *reader(settings)],
            "clusters": [*clusters(settings), *collector(settings), *admin_cluster(settings)],
        },
        **admin(settings),
        **flushing(settings),
    }


def write(settings: EdgeSettings, path: Path) -> Path:
    """Write the configuration as JSON, in one step, readable by the owner only. Returns the path."""
    text = json.dumps(render(settings), indent=1) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.touch(mode=0o600)
    try:
        scratch.write_text(text, encoding="utf-8")
        return scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def runtime(settings: EdgeSettings) -> Json:
    """Return what Envoy reads by name.

    A connection that cancels most of its first hundreds of calls at once is closed, unless it may be a proxy's, which
    other callers share. One that sends many calls at once waits for its turn after a few.
    """
    return {
        "overload.premature_reset_total_stream_count": NEVER
        if settings.trusted_hops
        else settings.limits.early_cancels,
        "overload.premature_reset_min_stream_lifetime_seconds": 1,
        "http.max_requests_per_io_cycle": 5,
    }


def connection_manager(settings: EdgeSettings, contract: Contract) -> Json:
    """Return the HTTP connection manager: what it reads from a connection, and which headers it believes."""
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="edge",
        codec_type="AUTO",
        route_config={"name": "edge", "virtual_hosts": [virtual_host(settings, contract)]},
        http_filters=http_filters(settings, contract),
        local_reply_config=local_reply_config(settings),
        early_header_mutation_extensions=[internal_headers()],
        use_remote_address=True,
        # The header_mutation filter appends the peer.
        skip_xff_append=True,
        xff_num_trusted_hops=settings.trusted_hops,
        # Nobody is internal: private addresses get no more trust than others.
        internal_address_config={"unix_sockets": False},
        **request_ids(),
        server_header_transformation="PASS_THROUGH",
        normalize_path=True,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        **protocols(settings),
        access_log=access_log() if settings.access_log else [],
        **tracing(settings),
    )
    manager |= client_identity(settings.downstream_tls)
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def internal_headers() -> Json:
    """Return the mutation that drops internal headers before a route is chosen."""
    early = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    return {"name": "internal headers", "typed_config": typed(early, mutations=early_mutations())}


def request_ids() -> Json:
    """Return the request id settings: a caller's id is kept, so that both sides find the call in their logs."""
    uuids = typed("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", pack_trace_reason=False)
    return {
        "preserve_external_request_id": True,
        "always_set_request_id_in_response": True,
        "request_id_extension": {"typed_config": uuids},
    }


def client_identity(tls: DownstreamTls | None) -> Json:
    """Return the forwarding of a caller's certificate to the services, where callers have one."""
    if not (tls and tls.client_ca):
        return {}
    shown = {"uri": True, "subject": True}
    return {"forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": shown}


def overload_manager(settings: EdgeSettings) -> Json:
    """Return the limits at which the edge refuses more, before the machine stops it."""
    connections = typed(
        f"{MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=settings.limits.connections,
    )
    heap = typed(f"{MONITORS}.fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=settings.limits.heap)
    full = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": REFUSE_AT}}
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": connections},
            {"name": "envoy.resource_monitors.fixed_heap", "typed_config": heap},
        ],
        "actions": [
            shorter_timeouts(),
            {"name": "envoy.overload_actions.reset_high_memory_stream", "triggers": [under_pressure()]},
            {"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [full]},
        ],
        # From 1 MiB a stream's memory is counted; under pressure the largest streams end first.
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": 20},
    }


def under_pressure() -> Json:
    """Return the trigger of what grows with the memory in use."""
    scaled = {"scaling_threshold": SHRINK_AT, "saturation_threshold": REFUSE_AT}
    return {"name": "envoy.resource_monitors.fixed_heap", "scaled": scaled}


def shorter_timeouts() -> Json:
    """Return the action that ends idle connections and streams sooner while memory is short."""
    idle = ("HTTP_DOWNSTREAM_CONNECTION_IDLE", "HTTP_DOWNSTREAM_STREAM_IDLE", "TRANSPORT_SOCKET_CONNECT")
    factors = [{"timer": timer, "min_scale": {"value": 10}} for timer in idle]
    config = typed("envoy.config.overload.v3.ScaleTimersOverloadActionConfig", timer_scale_factors=factors)
    return {
        "name": "envoy.overload_actions.reduce_timeouts",
        "triggers": [under_pressure()],
        "typed_config": config,
    }


def access_log() -> list[Json]:
    """Return one JSON line a call on standard output. Queries are left out: they may hold what is private."""
    line = {
        "time": "%START_TIME%",
        "method": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
        "path": "%PATH(NQ:ORIG_OR_PATH)%",
        "rpc": "%PATH(NQ:PATH)%",
        "status": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "milliseconds": "%DURATION%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "peer": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "upstream": "%UPSTREAM_HOST%",
        "request_id": "%REQ(X-REQUEST-ID)%",
    }
    stream = typed(
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        log_format={"json_format": line},
    )
    return [{"name": "envoy.access_loggers.stdout", "typed_config": stream}]
