"""Puts the edge together: listener, admin interface, overload limits. The parts are in the modules beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tenantmesh.deploy.envoy.addresses import check_addresses
from tenantmesh.deploy.envoy.clusters import clusters
from tenantmesh.deploy.envoy.contract import Contract, read
from tenantmesh.deploy.envoy.filters import early_mutations, http_filters
from tenantmesh.deploy.envoy.parts import Json, seconds, socket_address, typed
from tenantmesh.deploy.envoy.replies import local_reply_config
from tenantmesh.deploy.envoy.routes import virtual_host
from tenantmesh.deploy.envoy.settings import DownstreamTls, EdgeSettings
from tenantmesh.deploy.envoy.traces import collector, flushing, tracing

__all__ = ["render", "write"]

REFUSE_AT = 0.95
NO_HOST = "no-host.invalid"
MONITORS = "envoy.extensions.resource_monitors"


def render(settings: EdgeSettings) -> Json:
    """Return Envoy's whole configuration. Raises UnusableContract or ValueError that say what can't be served."""
    check_addresses(settings)
    contract = read(settings.descriptors, settings.upstreams)
    rendered: Json = {
        "node": {"id": "edge", "cluster": "tenantmesh"},
        "overload_manager": overload_manager(settings),
        "static_resources": {
            "listeners": [listener(settings, contract)],
            "clusters": [*clusters(settings), *collector(settings)],
        },
        **flushing(settings),
    }
    if settings.admin_port is not None:
        rendered["admin"] = {"address": socket_address(settings.admin_address, settings.admin_port)}
    return rendered


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


def listener(settings: EdgeSettings, contract: Contract) -> Json:
    """Return the one port for REST, gRPC and gRPC-Web."""
    chain: Json = {"filters": [connection_manager(settings, contract)]}
    if settings.downstream_tls:
        chain["transport_socket"] = server_tls(settings.downstream_tls)
    return {
        "name": "edge",
        "address": socket_address(settings.address, settings.port),
        # Otherwise a second edge on the same port silently takes half of the calls.
        "enable_reuse_port": False,
        # The transcoder holds a REST body until it is complete.
        "per_connection_buffer_limit_bytes": 2 * settings.limits.request_body,
        "filter_chains": [chain],
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
        max_request_headers_kb=settings.limits.request_headers_kib,
        request_headers_timeout=seconds(settings.limits.request_headers),
        stream_idle_timeout=seconds(settings.limits.idle_stream),
        access_log=access_log() if settings.access_log else [],
        **tracing(settings),
    )
    manager |= client_identity(settings.downstream_tls)
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def protocols(settings: EdgeSettings) -> Json:
    """Return what is read of each version of HTTP."""
    return {
        # A service could take x-tenant_id for x-tenant-id.
        "common_http_protocol_options": {"headers_with_underscores_action": "DROP_HEADER"},
        # Probes of some load balancers and proxies speak HTTP/1.0, which has no host header.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": NO_HOST},
        "http2_protocol_options": {"max_concurrent_streams": settings.limits.streams_per_connection},
    }


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


def server_tls(tls: DownstreamTls) -> Json:
    """Return TLS for callers; with a client authority, mutual."""
    common: Json = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [
            {"certificate_chain": {"filename": str(tls.certificate)}, "private_key": {"filename": str(tls.key)}}
        ],
    }
    if tls.client_ca:
        common["validation_context"] = {"trusted_ca": {"filename": str(tls.client_ca)}}
    context = typed(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context=common,
        require_client_certificate=bool(tls.client_ca),
    )
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


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
        "actions": [{"name": "envoy.overload_actions.stop_accepting_requests", "triggers": [full]}],
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
