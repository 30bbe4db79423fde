"""Names and limits of the metadata that the mesh reads and writes. gRPC and HTTP/2 spell keys in lower case."""

from __future__ import annotations

from tenantmesh.interceptors.errors import InvalidArgument

__all__ = [
    "AUTHORIZATION",
    "FORWARDED_FOR",
    "FORWARDED_HOST",
    "INTERNAL_PREFIX",
    "MAX_BYTES",
    "MAX_ENTRIES",
    "READ",
    "REQUEST_ID",
    "SINGLE",
    "TENANT_ID",
    "TENANT_QUERY",
    "TENANT_SLUG",
    "TENANT_SOURCES",
    "TRACEPARENT",
    "TRACESTATE",
    "TRANSCODED",
    "duplicate",
]

REQUEST_ID = "x-request-id"
TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
AUTHORIZATION = "authorization"
TENANT_ID = "x-tenant-id"
TENANT_SLUG = "x-tenant-slug"
TENANT_QUERY = "x-tenant-query"
"""`?tenant=` of a REST call, put there by the edge."""
FORWARDED_HOST = "x-forwarded-host"
"""The host of the original request, put there by the edge: `:authority` is invisible in Python."""
FORWARDED_FOR = "x-forwarded-for"
"""The addresses the call came through; the last is what the edge itself saw."""
TRANSCODED = "x-envoy-original-path"
"""The path of the REST call that the edge turned into this call. A client may forge it: it only moves the `ratelimit`
headers."""
INTERNAL_PREFIX = "x-tenantmesh-"
"""Keys that only parts of the mesh may set. The edge strips them; elsewhere they are refused."""

TENANT_SOURCES = frozenset({TENANT_ID, TENANT_SLUG, TENANT_QUERY, FORWARDED_HOST})
SINGLE = TENANT_SOURCES | {AUTHORIZATION, REQUEST_ID, TRACEPARENT}
"""Keys whose repetition would let two readers see two values."""
READ = SINGLE | {FORWARDED_FOR, TRANSCODED}
"""Keys that the mesh reads. Values that it can't take refuse the call; of other keys they are ignored."""

MAX_BYTES = 8 * 1024
MAX_ENTRIES = 64


def duplicate(key: str) -> InvalidArgument:
    """Return the refusal of a header that must be single and is not."""
    return InvalidArgument(
        "DUPLICATE_METADATA", f"{key} must have a single value. Send it once, without commas.", metadata={"key": key}
    )
