"""The routes of a call: to a service by its gRPC path, or, while it is still REST, to the refusals and stream styles.

A REST call is routed twice: as it came, to choose how streams are written and what is refused; then, once it has become
gRPC, by the method's path like any other. Native gRPC is routed once.
"""

from __future__ import annotations

import functools
import re
from datetime import timedelta

from tenantmesh.deploy.envoy.answers import CHALLENGES, FORMAT_NAME, STREAMED, name_the_format
from tenantmesh.deploy.envoy.contract import Binding, Contract
from tenantmesh.deploy.envoy.cors import policy
from tenantmesh.deploy.envoy.filters import TRANSCODER, transcoder
from tenantmesh.deploy.envoy.parts import FILTERS, Json, matches, present, seconds, switched_off, typed
from tenantmesh.deploy.envoy.refusals import QUERY, form, refusals, refuse
from tenantmesh.deploy.envoy.scripts import CHECKED, EVENT_IDS, HEAD, is_resumable
from tenantmesh.deploy.envoy.settings import EdgeSettings

__all__ = ["virtual_host"]

HEALTH = "/grpc.health.v1.Health/"
REFLECTION = ("/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/")
# Health and reflection are asked of the service that every other one depends on.
MESH_UPSTREAM = "tenant"
# The service is the first to say that a deadline has passed.
MARGIN = timedelta(seconds=2)
UNLIMITED = timedelta()
# A service refuses streams while it still counts calls that their callers have given up: so often, over 0.4 s.
RETRIES = 5
GRPC_CONTENT = matches("content-type", "application/grpc.*")
# Set by the transcoder. From a caller it is dropped before routes are chosen.
TRANSCODED = present("x-envoy-original-path")
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
# A parameter of a media type in Accept, unless it is the weight zero.
PARAMETER = r"(q=(1(\.0*)?|0?\.0*[1-9][0-9]*)|[^q=,;\s][^=,;]*=[^,;]*|q[^=,;]+=[^,;]*)"
# gRPC's own headers in a REST call would steer a protocol that the caller does not speak, and `-bin` values have to be
# base64: wrong ones fail the call with an internal error before any code of ours runs.
GRPC_REQUEST_HEADERS = "grpc-.*|.*-bin|te"
# In a JSON answer they mean nothing. Native gRPC needs them: an error there is nothing but such headers.
GRPC_RESPONSE_HEADERS = ("grpc-status", "grpc-message", "grpc-accept-encoding", "grpc-encoding")


def virtual_host(settings: EdgeSettings, contract: Contract) -> Json:
    """Return all routes, in the order in which they are tried."""
    routes = [
        *between_processes(settings, contract),
        *(route for name in settings.upstreams for route in service_routes(settings, contract, name)),
        *mesh_routes(settings),
        *rest_routes(settings, contract),
    ]
    overrides = {"envoy.filters.http.cors": policy(settings.cors_origins)} if settings.cors_origins else {}
    return {"name": "edge", "domains": ["*"], "routes": routes, "typed_per_filter_config": overrides}


def between_processes(settings: EdgeSettings, contract: Contract) -> list[Json]:
    """Return the refusals of the methods that nobody outside of the mesh has a reason to call."""
    if settings.between_processes:
        return []
    words = "Only services of the mesh call this method, at the port of the service that serves it."
    return [
        {"match": {"path": method.path, "headers": [GRPC_CONTENT]}, **refuse(404, words)}
        for method in contract.methods
        if method.between_processes
    ]


def service_routes(settings: EdgeSettings, contract: Contract, upstream: str) -> list[Json]:
    """Return the routes to one upstream: streams without a time limit, the rest bounded by the longest policy."""
    services = [service for service in contract.services if service.upstream == upstream]
    streams = [{"path": method.path} for service in services for method in service.methods if method.streams]
    unary = [{"prefix": f"/{service.name}/"} for service in services]
    longest = contract.longest_call(upstream) + MARGIN
    return [
        *(route for path in streams for route in both_kinds(path, forward(settings, upstream))),
        *(route for path in unary for route in both_kinds(path, forward(settings, upstream, longest))),
    ]


def both_kinds(path: Json, action: Json) -> list[Json]:
    """Return the route of a call that came as REST, and of one that came as gRPC."""
    return [{"match": {**path, "headers": [TRANSCODED]}, "route": action}, native(path, action)]


def native(path: Json, action: Json) -> Json:
    """Return a gRPC route. A client stream may be of any length: each message is bounded by the service."""
    match = {**path, "headers": [GRPC_CONTENT]}
    return {"match": match, "route": action, "typed_per_filter_config": switched_off("body_size_limit")}


def forward(settings: EdgeSettings, upstream: str, longest: timedelta = UNLIMITED) -> Json:
    """Return the action that sends a call on; repeated only where the service can't have seen it."""
    previous = "envoy.retry_host_predicates.previous_hosts"
    other = typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    return {
        "cluster": upstream,
        "timeout": seconds(longest),
        # A body that is half sent, or an answer that never comes, ends with the longest call; streams may be silent.
        "idle_timeout": seconds(longest or settings.limits.idle_stream),
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": RETRIES,
            "retry_host_predicate": [{"name": previous, "typed_config": other}],
        },
    }


def mesh_routes(settings: EdgeSettings) -> list[Json]:
    """Return the routes of the services that every gRPC server has, and the refusal of those that none has."""
    action = forward(settings, MESH_UPSTREAM)
    prefixes = (HEALTH, *(REFLECTION if settings.reflection else ()))
    unknown = refuse(404, "No such service here. Its name is in the protos.")
    return [
        *(native({"prefix": prefix}, action) for prefix in prefixes),
        {"match": {"prefix": "/", "headers": [GRPC_CONTENT]}, **unknown},
    ]


def rest_routes(settings: EdgeSettings, contract: Contract) -> list[Json]:
    """Return the routes of REST calls: preflights, refusals, streams in each format, and the rest."""
    preflight = {"prefix": "/", "headers": [matches(":method", "OPTIONS"), present("access-control-request-method")]}
    head = {"prefix": "/", "headers": [matches(":method", "HEAD")]}
    rest_route = functools.partial(rest, longest_body(settings, contract))
    return [
        rest_route(preflight),
        *refusals(contract),
        *(
            route
            for binding in contract.bindings
            if binding.streams
            for route in stream_routes(settings, contract, binding)
        ),
        # A compressed body would have a length of its own.
        rest_route(head, HEAD | switched_off("compressor")),
        rest_route({"prefix": "/"}),
    ]


def stream_routes(settings: EdgeSettings, contract: Contract, binding: Binding) -> list[Json]:
    """Return the routes of a stream over REST: as events, as lines, or as one JSON array."""
    rest_route = functools.partial(rest, longest_body(settings, contract))
    events = {TRANSCODER: transcoder(settings, contract, stream_sse_style_delimited=True)}
    lines = {TRANSCODER: transcoder(settings, contract, stream_newline_delimited=True), FORMAT_NAME: name_the_format()}
    path = matches(":path", form(binding) + QUERY)
    resumable = EVENT_IDS if is_resumable(binding, contract) else {}
    return [
        rest_route({"prefix": "/", "headers": [path, accepts(EVENTS)]}, STREAMED | resumable | events),
        rest_route({"prefix": "/", "headers": [path, accepts(LINES)]}, STREAMED | lines),
        rest_route({"prefix": "/", "headers": [path]}, STREAMED),
    ]


def accepts(media: str) -> Json:
    """Match a request that names a media type in Accept, with a weight other than zero."""
    return matches("accept", rf"(?i)(.*,)?[ \t]*{re.escape(media)}[ \t]*(;[ \t]*{PARAMETER}[ \t]*)*(,.*)?")


def longest_body(settings: EdgeSettings, contract: Contract) -> timedelta:
    """Return how long a body may be on its way: as long as the longest call, since its method is not known yet."""
    return max(contract.longest_call(name) for name in settings.upstreams) + MARGIN


def rest(longest: timedelta, match: Json, overrides: Json | None = None) -> Json:
    """Return a route that the transcoder leaves for the method's own. Nothing stays on it: unknown paths are refused.

    It has a cluster all the same, since CORS works on such routes only.
    """
    cleaned = mutations(
        request_mutations=[{"remove_on_match": {"key_matcher": {"safe_regex": {"regex": GRPC_REQUEST_HEADERS}}}}],
        response_mutations=[{"remove": name} for name in GRPC_RESPONSE_HEADERS],
    )
    return {
        "match": match,
        "route": {"cluster": MESH_UPSTREAM, "idle_timeout": seconds(longest)},
        "typed_per_filter_config": cleaned | CHECKED | CHALLENGES | (overrides or {}),
    }


def mutations(**kinds: list[Json]) -> Json:
    """Return the per-route override that adds to what header_mutation does everywhere."""
    override = typed(f"{FILTERS}.header_mutation.v3.HeaderMutationPerRoute", mutations=kinds)
    return {"envoy.filters.http.header_mutation": override}
