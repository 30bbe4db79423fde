"""The form of the edge's own refusals: `{code, message, details}` for REST, a gRPC status for gRPC callers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from google.rpc import error_details_pb2, status_pb2

from tenantmesh.deploy.envoy.cors import header, origin_headers
from tenantmesh.deploy.envoy.parts import Json, typed
from tenantmesh.deploy.envoy.settings import EdgeSettings
from tenantmesh.deploy.envoy.strangers import RATE_LIMITED
from tenantmesh.interceptors.metadata import MAX_BYTES, MAX_ENTRIES

__all__ = ["REASONED", "REPLIES", "SAID", "Reasoned", "local_reply_config"]

DOMAIN = "tenantmesh"
# What Envoy, a route or a script of ours said, where it says something useful to the caller; else our own sentence.
SAID = "%LOCAL_REPLY_BODY%"
# HTTP status → (canonical code, message). The range after them takes the rest.
REPLIES: dict[int, tuple[int, str]] = {
    400: (3, "This is not a valid HTTP request: the method, the request line or a header is malformed. Correct it."),
    401: (16, SAID),
    403: (7, "Protocol upgrades are not served here. Call over plain HTTP."),
    404: (5, SAID),
    405: (12, SAID),
    408: (4, "The request did not arrive in time. Send it again."),
    413: (8, "The body is larger than this edge takes. Send less at a time."),
    415: (3, SAID),
    429: (8, SAID),
    431: (8, f"The headers exceed {MAX_BYTES} bytes or {MAX_ENTRIES} entries. Send fewer or shorter ones."),
    501: (12, "A transfer-encoding other than chunked is not read. Send the body with content-length or chunked."),
    502: (14, "The service broke the connection. Retry with backoff."),
    503: (14, "The service can't be reached right now. Retry with backoff."),
    504: (4, "The service did not answer in time. Retry with backoff."),
}
# Envoy's detail of a refusal that has no words for the caller → canonical code, message.
DETAILS = {
    "http1.invalid_characters": (3, "A header's value has a control character. Remove it."),
    "http1.content_length_and_chunked_not_allowed": (3, "content-length excludes transfer-encoding. Send one."),
    "missing_host_header": (3, "The request has no host header. Send one."),
    "path_normalization_failed": (3, "The path has a character that no path can have, such as %%00 or #. Remove it."),
    "absolute_path_rejected": (5, "Nothing is served at this path. Send a path that begins with /."),
}


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A refusal of the edge that has a reason, as those of the services have."""

    detail: str
    """Envoy's detail of it, a regular expression."""

    code: int
    reason: str
    message: str

    def status(self) -> str:
        """Return the header in which gRPC callers read the reason: the status in base64."""
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN)
        status = status_pb2.Status(code=self.code, message=self.message)
        status.details.add().Pack(info)
        return base64.b64encode(status.SerializeToString(deterministic=True)).decode().rstrip("=")

    def details(self) -> list[Json]:
        """Return the details that REST callers read."""
        return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.reason, "domain": DOMAIN}]


# Each is in docs/reference/errors.md.
REASONED = (
    Reasoned(
        RATE_LIMITED,
        8,
        "EDGE_RATE_LIMITED",
        "This address or credential sends more calls than the edge takes. Retry after the time in retry-after.",
    ),
    Reasoned(
        "overflow|overload",
        14,
        "EDGE_OVERLOADED",
        "As many calls as the edge allows are under way to this service, or its memory is used up. Retry with backoff.",
    ),
)
# The transcoder, a route or a script refused; others that refuse have no words for the caller.
WORDED = "grpc_json_transcode_failure|direct_response|lua_response"
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


def local_reply_config(settings: EdgeSettings) -> Json:
    """Return the mappers. gRPC callers get headers at most: Envoy gives them a grpc-status itself."""
    replies: list[tuple[list[Json], Json]] = [
        *(([details(each.detail)], body(each.code, each.message, each.details())) for each in REASONED),
        *(([details(detail)], body(*reply)) for detail, reply in DETAILS.items()),
        ([status(400), details(WORDED)], body(3, SAID)),
        *(([status(code)], body(*reply)) for code, reply in REPLIES.items()),
        ([status(400, "GE"), status(499, "LE")], body(3, SAID)),
        ([status(500, "GE")], body(13, "The edge failed. Retry with backoff.")),
    ]
    callers = origin_headers(settings.cors_origins)
    rest = [mapper([*matched, REST_CALLER], caller, form) for matched, form in replies for caller in callers]
    grpc = [
        mapper([details(each.detail)], with_status(caller, each), words(each))
        for each in REASONED
        for caller in callers
    ]
    return {"mappers": [*rest, *grpc, *(mapper([status(400, "GE")], caller) for caller in callers)]}


def with_status(caller: tuple[list[Json], list[Json]], refusal: Reasoned) -> tuple[list[Json], list[Json]]:
    """Return the caller's headers with the one in which gRPC callers read the reason."""
    senders, headers = caller
    return senders, [*headers, header("grpc-status-details-bin", refusal.status())]


def words(refusal: Reasoned) -> Json:
    """Return the form of a refusal as gRPC callers get it: the message alone, which Envoy puts into the status."""
    return {"body_format_override": {"text_format_source": {"inline_string": refusal.message}}}


def mapper(matched: list[Json], caller: tuple[list[Json], list[Json]], form: Json | None = None) -> Json:
    """Return one mapper: to this kind of caller, this answer gets these headers and this form."""
    senders, headers = caller
    filters = [*matched, *({"header_filter": {"header": sender}} for sender in senders)]
    # Envoy takes no list of one.
    both = {"and_filter": {"filters": filters}} if len(filters) > 1 else filters[0]
    return {"filter": both, "headers_to_add": headers, **(form or {})}


def body(code: int, message: str, details: Sequence[Json] = ()) -> Json:
    """Return the form of a refusal as REST callers get it."""
    return {
        "body_format_override": {
            "json_format": {"code": code, "message": message, "details": list(details)},
            "content_type": "application/json",
        },
    }


def details(pattern: str) -> Json:
    """Match a refusal by Envoy's detail of it."""
    expression = f"response.code_details.matches('{pattern}')"
    config = typed("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", expression=expression)
    return {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}}


def status(code: int, comparison: str = "EQ") -> Json:
    """Match an HTTP status. Envoy asks for a name under which an operator could change the number at run time."""
    value = {"default_value": code, "runtime_key": f"edge.reply.{comparison}.{code}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}
