"""The form of the edge's own refusals: `{code, message, details}` for REST, a gRPC status for gRPC callers."""

from __future__ import annotations

from tenantmesh.deploy.envoy.parts import Json, typed

__all__ = ["REPLIES", "SAID", "local_reply_config"]

# What Envoy said, where it says something useful to the caller; else our own sentence.
SAID = "%LOCAL_REPLY_BODY%"
MALFORMED = "This is not valid HTTP, or a header's name has an underscore. Names have letters, digits and hyphens."
# HTTP status → (canonical code, message). The range after them takes the rest.
REPLIES: dict[int, tuple[int, str]] = {
    400: (3, MALFORMED),
    401: (16, SAID),
    403: (7, "Protocol upgrades are not served here. Call over plain HTTP."),
    404: (5, SAID),
    405: (12, SAID),
    408: (4, "The request did not arrive in time. Send it again."),
    413: (8, "The body is larger than this edge takes. Send less at a time."),
    415: (3, SAID),
    429: (8, SAID),
    431: (8, "The headers are larger than this edge takes. Send fewer or shorter ones."),
    501: (12, SAID),
    502: (14, "The service broke the connection. Retry with backoff."),
    503: (14, "The service can't be reached right now. Retry with backoff."),
    504: (4, "The service did not answer in time. Retry with backoff."),
}
# A 400 has words if the transcoder or a route of ours made it; the one of a broken request has none.
WORDED: Json = {
    "extension_filter": {
        "name": "envoy.access_loggers.extension_filters.cel",
        "typed_config": typed(
            "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            expression="response.code_details.matches('grpc_json_transcode_failure|direct_response')",
        ),
    }
}
REST_CALLER: Json = {
    "or_filter": {
        "filters": [
            {
                "header_filter": {
                    "header": {
                        "name": "content-type",
                        "string_match": {"prefix": "application/grpc"},
                        "invert_match": True,
                        "treat_missing_header_as_empty": True,
                    }
                }
            },
            # A transcoded request looks like gRPC by now; only its original path tells.
            {"header_filter": {"header": {"name": "x-envoy-original-path", "present_match": True}}},
        ]
    }
}


def local_reply_config() -> Json:
    """Return the mappers for REST callers. gRPC callers match none of them: Envoy gives them a grpc-status itself."""
    exact = [mapper(status(code), *reply) for code, reply in REPLIES.items()]
    client_errors = mapper(status(400, "GE"), 3, SAID, also=[status(499, "LE")])
    worded = mapper(status(400), 3, SAID, also=[WORDED])
    return {
        "mappers": [
            worded,
            *exact,
            client_errors,
            mapper(status(500, "GE"), 13, "The edge failed. Retry with backoff."),
        ]
    }


def mapper(matched: Json, code: int, message: str, *, also: list[Json] | None = None) -> Json:
    """Return one mapper: for this HTTP status and a REST caller, this body."""
    return {
        "filter": {"and_filter": {"filters": [matched, *(also or []), REST_CALLER]}},
        "body_format_override": {
            "json_format": {"code": code, "message": message, "details": []},
            "content_type": "application/json",
        },
    }


def status(code: int, comparison: str = "EQ") -> Json:
    """Match an HTTP status. Envoy asks for a name under which an operator could change the number at run time."""
    value = {"default_value": code, "runtime_key": f"edge.reply.{comparison}.{code}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}
