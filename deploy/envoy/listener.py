"""The port of callers: how a connection begins, how many there may be of one address, and what they may send."""

from __future__ import annotations

from typing import Any

from tenantmesh.deploy.envoy.limits import EdgeLimits
from tenantmesh.deploy.envoy.parts import Json, seconds, socket_address, typed
from tenantmesh.deploy.envoy.settings import DownstreamTls, EdgeSettings

__all__ = ["listener", "protocols"]

NO_HOST = "no-host.invalid"
MATCHERS = "envoy.extensions.matching"
STREAM_WINDOW = 256 * 1024
CONNECTION_WINDOW = 1024 * 1024


def listener(settings: EdgeSettings, manager: Json) -> Json:
    """Return the one port for REST, gRPC and gRPC-Web."""
    return {
        "name": "edge",
        "address": socket_address(settings.address, settings.port),
        # Otherwise a second edge on the same port silently takes half of the calls.
        "enable_reuse_port": False,
        # The transcoder holds a REST body until it is complete.
        "per_connection_buffer_limit_bytes": 2 * settings.limits.request_body,
        **first_byte(settings),
        **chains(settings, manager),
    }


def first_byte(settings: EdgeSettings) -> Json:
    """Return the filter that waits for the first bytes of a connection, and not for long.

    While it waits a connection counts in no group, so that it is for an edge without groups. The handshake of TLS has a
    time limit of its own.
    """
    if settings.downstream_tls or settings.limits.address_groups > 1:
        return {}
    config = typed("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector")
    return {
        "listener_filters": [{"name": "envoy.filters.listener.http_inspector", "typed_config": config}],
        "listener_filters_timeout": seconds(settings.limits.silent_connection),
    }


def chains(settings: EdgeSettings, manager: Json) -> Json:
    """Return what serves a connection: the same for each group of addresses, with a count of its own."""
    groups = settings.limits.address_groups
    if groups == 1:
        return {"filter_chains": [chain(settings, "all", [manager])]}
    limit = connection_limit(settings.limits)
    return {
        "filter_chains": [chain(settings, name(group), [limit, manager]) for group in range(groups)],
        "filter_chain_matcher": {
            "matcher_list": {"matchers": [belongs(group, groups) for group in range(groups - 1, 0, -1)]},
            "on_no_match": chosen(name(0)),
        },
    }


def name(group: int) -> str:
    """Return the name of a group's chain."""
    return f"group {group}"


def chain(settings: EdgeSettings, called: str, filters: list[Json]) -> Json:
    """Return a chain of network filters, behind TLS where callers have it."""
    made: Json = {"name": called, "filters": filters}
    if settings.downstream_tls:
        made["transport_socket"] = server_tls(settings.downstream_tls)
        made["transport_socket_connect_timeout"] = seconds(settings.limits.silent_connection)
    return made


def connection_limit(limits: EdgeLimits) -> Json:
    """Return the filter that closes what a group has too many of. Envoy can't count by address."""
    config = typed(
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        stat_prefix="edge",
        max_connections=limits.group_connections,
    )
    return {"name": "envoy.filters.network.connection_limit", "typed_config": config}


def belongs(group: int, groups: int) -> Json:
    """Choose the group's chain for addresses whose hash is of the group, or of a later one that was tried before."""
    source = typed(f"{MATCHERS}.common_inputs.network.v3.SourceIPInput")
    hashed = typed(f"{MATCHERS}.input_matchers.consistent_hashing.v3.ConsistentHashing", threshold=group, modulo=groups)
    predicate = {
        "input": {"name": "address", "typed_config": source},
        "custom_match": {"name": "hash", "typed_config": hashed},
    }
    return {"predicate": {"single_predicate": predicate}, "on_match": chosen(name(group))}


def chosen(called: str) -> Json:
    """Return the action that takes a chain."""
    return {"action": {"name": called, "typed_config": typed("google.protobuf.StringValue", value=called)}}


def protocols(settings: EdgeSettings) -> Json:
    """Return what is read of each version of HTTP."""
    limits = settings.limits
    return {
        "common_http_protocol_options": {
            # A service could take x-tenant_id for x-tenant-id.
            "headers_with_underscores_action": "DROP_HEADER",
            "idle_timeout": seconds(limits.idle_connection),
            "max_headers_count": limits.request_headers_count,
        },
        # Probes of some load balancers and proxies speak HTTP/1.0, which has no host header.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": NO_HOST},
        "http2_protocol_options": http2(limits),
        "max_request_headers_kb": limits.request_headers_kib,
        "request_headers_timeout": seconds(limits.request_headers),
        "stream_idle_timeout": seconds(limits.idle_stream),
    }


def http2(limits: EdgeLimits) -> dict[str, Any]:
    """Return the limits of HTTP/2: who floods a connection with frames loses it."""
    return {
        "max_concurrent_streams": limits.streams_per_connection,
        "initial_stream_window_size": STREAM_WINDOW,
        "initial_connection_window_size": CONNECTION_WINDOW,
        "max_outbound_frames": limits.unread_frames,
        "max_outbound_control_frames": limits.unread_control_frames,
        # Envoy's own limits of frames that mean nothing, each of which could be one by mistake.
        "max_consecutive_inbound_frames_with_empty_payload": 1,
        "max_inbound_priority_frames_per_stream": 100,
        "max_inbound_window_update_frames_per_data_frame_sent": 10,
    }


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
