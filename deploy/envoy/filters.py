"""The chain of HTTP filters that every call passes at the edge, in one ordered list with the reason beside each row.

Which filter is overridden where is in routes.py.
"""

from __future__ import annotations

from tenantmesh.deploy.envoy.answers import answers
from tenantmesh.deploy.envoy.contract import Contract
from tenantmesh.deploy.envoy.cors import VARY
from tenantmesh.deploy.envoy.parts import FILTERS, Json, http_filter, typed
from tenantmesh.deploy.envoy.scripts import scripts
from tenantmesh.deploy.envoy.settings import EdgeSettings
from tenantmesh.deploy.envoy.strangers import rates

__all__ = ["TRANSCODER", "early_mutations", "http_filters", "transcoder"]

HEALTH_PATH = "/healthz"
# What only the mesh itself may say. From outside these headers are lies, so they go before routes are chosen.
INTERNAL_HEADERS = ("x-tenant-query", "x-forwarded-host", "x-forwarded-client-cert", "forwarded", "x-real-ip")
INTERNAL_PREFIXES = ("x-tenantmesh-", "x-envoy-")
# No part of the mesh reads cookies. They are private, may be large, and may hold what gRPC can't carry.
UNREAD_HEADERS = ("cookie",)
# gRPC takes header names of these characters only and fails the whole call on others.
ILLEGAL_NAME = "[^:].*[^0-9a-z_.-].*|[^:0-9a-z_.-].*"
PEER = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
MIN_COMPRESSED_BYTES = 256


def http_filters(settings: EdgeSettings, contract: Contract) -> list[Json]:
    """Return the filters in the order in which a request meets them; an answer meets them backwards."""
    return [
        health(settings),  # first: probes need nothing else
        rates(settings.limits),  # before anything is done for a call that is one too many
        body_size_limit(settings),  # before anything buffers a body
        compressor(),  # outside the transcoder, so that it sees JSON
        http_filter("cors", "Cors"),  # a preflight must not reach the transcoder, which knows no OPTIONS
        *answers(),  # outside the transcoder too: they add to what the transcoder wrote
        *scripts(contract),  # before the transcoder, which would take what they refuse
        header_mutation(settings),  # before the transcoder, after which the query is gone
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
        *({"remove": name} for name in (*INTERNAL_HEADERS, *UNREAD_HEADERS)),
        *({"remove_on_match": {"key_matcher": pattern}} for pattern in patterns),
    ]


def header_mutation(settings: EdgeSettings) -> Json:
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
            "response_mutations": [VARY] if settings.cors_origins else [],
        },
    )


def overwrite(header: str, value: str) -> Json:
    """Return the mutation that leaves exactly one header of the name; none where the value is empty."""
    return {"append": {"header": {"key": header, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}


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
            # The script refuses it first. Without either a body's field overrides the path's {id}: another tenant.
            "reject_binding_body_field_collisions": True,
        },
    )
