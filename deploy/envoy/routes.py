"""Where a call goes: to a service by its gRPC path, or, while it is still REST, to the refusals and stream styles.

A REST call is routed twice: as it came, to choose how streams are written and what is refused; then, once it has become
gRPC, by the method's path like any other. Native gRPC is routed once.
"""

from __future__ import annotations

from deploy.envoy.contract import Contract
from deploy.envoy.filters import TRANSCODER, transcoder
from deploy.envoy.parts import FILTERS, Json, contains, matches, present, seconds, switched_off, typed
from deploy.envoy.refusals import refusals, refuse
from deploy.envoy.settings import EdgeSettings

HEALTH = "/grpc.health.v1.Health/"
REFLECTION = ("/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/")
# Health and reflection are asked of the service that every other one depends on.
MESH_UPSTREAM = "tenant"
MARGIN_SECONDS = 5
GRPC_CONTENT = matches("content-type", "application/grpc.*")
# Set by the transcoder, and taken from whoever else sends it before routes are chosen.
TRANSCODED = present("x-envoy-original-path")
HEADER_MUTATION = "envoy.filters.http.header_mutation"
# gRPC's own headers in a REST call would steer a protocol that the caller does not speak, and `-bin` values have to be
# base64: wrong ones fail the call with an internal error before any code of ours runs.
GRPC_HEADERS = "grpc-.*|.*-bin|te"
TRAILING = ("grpc-status", "grpc-message", "grpc-accept-encoding", "grpc-encoding", "grpc-status-details-bin")


def virtual_host(settings: EdgeSettings, contract: Contract) -> Json:
    """Returns all routes, in the order in which they are tried."""
    routes = [
        *(route for name in settings.upstreams for route in service_routes(settings, contract, name)),
        *mesh_routes(settings),
        *refusals(contract),
        *rest_routes(settings, contract),
    ]
    overrides = {"envoy.filters.http.cors": cors(settings)} if settings.cors_origins else {}
    return {"name": "edge", "domains": ["*"], "routes": routes, "typed_per_filter_config": overrides}


def service_routes(settings: EdgeSettings, contract: Contract, upstream: str) -> list[Json]:
    """Returns the routes to one upstream: streams without a time limit, the rest bounded by the longest policy."""
    services = [service for service in contract.services if service.upstream == upstream]
    streams = [{"path": method.path} for service in services for method in service.methods if method.streams]
    unary = [{"prefix": f"/{service.name}/"} for service in services]
    longest = contract.longest_call(upstream).total_seconds() + MARGIN_SECONDS
    return [
        *(route for path in streams for route in stream_routes(path, forward(settings, upstream, "0s"))),
        *(route for path in unary for route in both_kinds(path, forward(settings, upstream, f"{longest:g}s"))),
    ]


def stream_routes(path: Json, action: Json) -> list[Json]:
    """Returns a streaming method's routes; newline-delimited JSON differs in the name of its content type."""
    lines = {**path, "headers": [TRANSCODED, contains("accept", "application/x-ndjson")]}
    content_type = {"key": "content-type", "value": "application/x-ndjson"}
    renamed = {"append": {"header": content_type, "append_action": "OVERWRITE_IF_EXISTS"}}
    return [transcoded(lines, action, renamed), *both_kinds(path, action)]


def both_kinds(path: Json, action: Json) -> list[Json]:
    """Returns the route of a call that came as REST, and of one that came as gRPC."""
    return [transcoded({**path, "headers": [TRANSCODED]}, action), native({**path, "headers": [GRPC_CONTENT]}, action)]


def transcoded(match: Json, action: Json, *mutations: Json) -> Json:
    """Returns a route whose answer becomes JSON: gRPC's own headers mean nothing there."""
    stripped = [*({"remove": name} for name in TRAILING), *mutations]
    return {"match": match, "route": action, "typed_per_filter_config": mutated(response_mutations=stripped)}


def native(match: Json, action: Json) -> Json:
    """Returns a gRPC route. A client stream may be of any length: each message is bounded by the service."""
    return {"match": match, "route": action, "typed_per_filter_config": switched_off("body_size_limit")}


def forward(settings: EdgeSettings, upstream: str, timeout: str) -> Json:
    """Returns the action that sends a call on; repeated only where the service can't have seen it."""
    previous = "envoy.retry_host_predicates.previous_hosts"
    other = typed("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")
    return {
        "cluster": upstream,
        "timeout": timeout,
        "idle_timeout": seconds(settings.limits.idle_stream),
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 2,
            "retry_host_predicate": [{"name": previous, "typed_config": other}],
        },
    }


def mesh_routes(settings: EdgeSettings) -> list[Json]:
    """Returns the routes of the services that every gRPC server has."""
    action = forward(settings, MESH_UPSTREAM, "0s")
    prefixes = (HEALTH, *(REFLECTION if settings.reflection else ()))
    return [native({"prefix": prefix, "headers": [GRPC_CONTENT]}, action) for prefix in prefixes]


def rest_routes(settings: EdgeSettings, contract: Contract) -> list[Json]:
    """Returns how streams are written, by Accept. The transcoder sends on what it knows; the 404 is for the rest."""
    styles = [
        (contains("accept", "text/event-stream"), transcoder(settings, contract, stream_sse_style_delimited=True)),
        (contains("accept", "application/x-ndjson"), transcoder(settings, contract, stream_newline_delimited=True)),
    ]
    cleaned = mutated(request_mutations=[{"remove_on_match": {"key_matcher": {"safe_regex": {"regex": GRPC_HEADERS}}}}])
    missing = "Nothing is served here. Paths are in the OpenAPI document, methods in the protos."
    plain: Json = {"match": {"prefix": "/"}, **refuse(404, missing), "typed_per_filter_config": cleaned}
    return [*(rest_route(plain, accept, override) for accept, override in styles), plain]


def rest_route(plain: Json, accept: Json, override: Json) -> Json:
    """Returns the plain REST route, for an Accept that asks for another stream style."""
    overrides = {**plain["typed_per_filter_config"], TRANSCODER: override}
    return {**plain, "match": {"prefix": "/", "headers": [accept]}, "typed_per_filter_config": overrides}


def mutated(**mutations: list[Json]) -> Json:
    """Returns the per-route override that adds to what header_mutation does everywhere."""
    return {HEADER_MUTATION: typed(f"{FILTERS}.header_mutation.v3.HeaderMutationPerRoute", mutations=mutations)}


def cors(settings: EdgeSettings) -> Json:
    """Returns which pages may call from a browser. Credentials are bearer tokens, so that cookies stay out."""
    exposed = "grpc-status,grpc-message,grpc-status-details-bin,x-request-id,retry-after,ratelimit,ratelimit-policy"
    return typed(
        f"{FILTERS}.cors.v3.CorsPolicy",
        allow_origin_string_match=[origin_match(origin) for origin in settings.cors_origins],
        allow_methods="GET,POST,PUT,PATCH,DELETE",
        allow_headers=(
            "authorization,content-type,accept,x-tenant-id,x-tenant-slug,x-request-id,traceparent,tracestate,"
            "x-grpc-web,x-user-agent,grpc-timeout"
        ),
        expose_headers=exposed,
        max_age="600",
    )


def origin_match(origin: str) -> Json:
    """Returns the matcher of an origin, in which `*` stands for one label of the host."""
    escaped = "".join(character if character.isalnum() else f"\\{character}" for character in origin)
    return {"safe_regex": {"regex": escaped.replace("\\*", "[a-z0-9-]+")}}
