"""The chain of HTTP filters that every call passes at the edge, in one ordered list with the reason beside each row.

Which filter is overridden where is in routes.py.
"""

from __future__ import annotations

from tenantmesh.deploy.envoy.contract import Contract
from tenantmesh.deploy.envoy.parts import FILTERS, Json, http_filter, typed
from tenantmesh.deploy.envoy.settings import EdgeSettings

__all__ = ["FORMAT_NAME", "TRANSCODER", "early_mutations", "http_filters", "name_the_format", "transcoder"]

HEALTH_PATH = "/healthz"
# What only the mesh itself may say. From outside these headers are lies, so they go before routes are chosen.
INTERNAL_HEADERS = ("x-tenant-query", "x-forwarded-host", "x-forwarded-client-cert", "forwarded", "x-real-ip")
INTERNAL_PREFIXES = ("x-tenantmesh-", "x-envoy-")
# gRPC takes header names of these characters only and fails the whole call on others.
ILLEGAL_NAME = "[^:].*[^0-9a-z_.-].*|[^:0-9a-z_.-].*"
PEER = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
FORMAT_NAME = "format_name"
MATCHED = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
SKIP = {
    "action": {
        "name": "skip",
        "typed_config": typed("envoy.extensions.filters.common.matcher.action.v3.SkipFilter"),
    }
}
MIN_COMPRESSED_BYTES = 256


def http_filters(settings: EdgeSettings, contract: Contract) -> list[Json]:
    """Return the filters in the order in which a request meets them; an answer meets them backwards."""
    return [
        health(settings),  # first: probes need nothing else
        body_size_limit(settings),  # before anything buffers a body
        compressor(),  # outside the transcoder, so that it sees JSON
        http_filter("cors", "Cors"),  # a preflight must not reach the transcoder, which knows no OPTIONS
        format_name(),  # outside the transcoder too: it names what the transcoder wrote
        header_mutation(),  # before the transcoder, after which the query is gone
        http_filter("grpc_web", "GrpcWeb"),  # turns gRPC-Web into gRPC, which the transcoder leaves alone
        {"name": TRANSCODER, "typed_config": transcoder(settings, contract)},  # from here on everything is gRPC
        http_filter("router", "Router", suppress_envoy_headers=True),
    ]


def health(settings: EdgeSettings) -> Json:
    """Answer `GET /healthz` by the edge's own view of the services: 200 when each has a healthy process, else 503."""
    return http_filter(
        "health_check",
        "HealthCheck",
        pass_through_mode=False,
        headers=[
            {"name": ":path", "string_match": {"exact": HEALTH_PATH}},
            {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}},
        ],
        # One healthy process of up to a hundred is enough; a smaller share counts as none at all.
        cluster_min_healthy_percentages={cluster: {"value": 1} for cluster in settings.upstreams},
    )


def body_size_limit(settings: EdgeSettings) -> Json:
    """Answer 413 to a larger REST body, with a length or chunked."""
    return http_filter("body_size_limit", "BodySizeLimit", max_request_bytes=settings.limits.request_body)


def compressor() -> Json:
    """Compress JSON answers; streams are flushed message by message."""
    gzip = typed("envoy.extensions.compression.gzip.compressor.v3.Gzip")
    common = {"min_content_length": MIN_COMPRESSED_BYTES}
    library = {"name": "gzip", "typed_config": gzip}
    return http_filter(
        "compressor", "Compressor", response_direction_config={"common_config": common}, compressor_library=library
    )


def early_mutations() -> list[Json]:
    """Drop headers that a caller may not send, before a route is chosen, so that none is chosen by them."""
    patterns = [*({"prefix": prefix} for prefix in INTERNAL_PREFIXES), {"safe_regex": {"regex": ILLEGAL_NAME}}]
    return [
        *({"remove": name} for name in INTERNAL_HEADERS),
        *({"remove_on_match": {"key_matcher": pattern}} for pattern in patterns),
    ]


def header_mutation() -> Json:
    """Hand host and `?tenant=` to the services as metadata, the only way in which they can see them."""
    return http_filter(
        "header_mutation",
        "HeaderMutation",
        mutations={
            "request_mutations": [
                overwrite("x-forwarded-host", "%REQ(:AUTHORITY)%"),
                overwrite("x-tenant-query", "%QUERY_PARAM(tenant)%"),
                # Envoy would append its own address for callers on the same machine.
                {"append": {"header": {"key": "x-forwarded-for", "value": PEER}}},
            ],
        },
    )


def overwrite(header: str, value: str) -> Json:
    """Return the mutation that leaves exactly one header of the name; none where the value is empty."""
    return {"append": {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


def format_name() -> Json:
    """Set `application/x-ndjson` where a stream is written in lines; the transcoder calls every format JSON.

    Switched on by the routes of streams (name_the_format), and there for answers with status 200 only: errors are JSON.
    """
    lines = {"key": "content-type", "value": "application/x-ndjson"}
    renamed = [{"append": {"header": lines, "append_action": "OVERWRITE_IF_EXISTS"}}]
    renaming = http_filter("header_mutation", "HeaderMutation", mutations={"response_mutations": renamed})
    return {
        "name": FORMAT_NAME,
        "typed_config": typed(MATCHED, extension_config=renaming, xds_matcher={"on_no_match": SKIP}),
    }


def name_the_format() -> Json:
    """Return the per-route override that switches format_name on."""
    code = typed("envoy.type.matcher.v3.HttpResponseHeaderMatchInput", header_name=":status")
    status = {"name": "status", "typed_config": code}
    succeeded = {"single_predicate": {"input": status, "value_match": {"exact": "200"}}}
    failed = {"predicate": {"not_matcher": succeeded}, "on_match": SKIP}
    return typed(f"{MATCHED}PerRoute", xds_matcher={"matcher_list": {"matchers": [failed]}})


TRANSCODER = "envoy.filters.http.grpc_json_transcoder"


def transcoder(settings: EdgeSettings, contract: Contract, **stream_style: bool) -> Json:
    """Return REST ⇄ gRPC by the annotations. A route overrides it with the same message in another stream style."""
    return typed(
        f"{FILTERS}.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor=str(settings.descriptors.resolve()),
        services=[service.name for service in contract.services],
        convert_grpc_status=True,
        case_insensitive_enum_parsing=True,
        query_param_unescape_plus=True,
        # It has become a header. Removing it from the query (query_parameter_mutations) would decode the others once
        # too often: a `%26` in a value would become a parameter.
        ignored_query_parameters=["tenant"],
        max_response_body_size=settings.limits.response_body,
        print_options={"always_print_primitive_fields": True, **stream_style},
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            # Without it a field of the body overrides the path's {id}: a way into another tenant.
            "reject_binding_body_field_collisions": True,
        },
    )
