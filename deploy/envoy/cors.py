"""CORS: the headers that let a page of another origin call, and read what it is answered (the Fetch standard)."""

from __future__ import annotations

import re
from collections.abc import Collection

from tenantmesh.deploy.envoy.parts import FILTERS, Json, matches, missing, typed

__all__ = ["VARY", "header", "origin_form", "origin_headers", "policy"]

REQUEST_HEADERS = (
    "authorization,content-type,accept,cache-control,last-event-id,x-tenant-id,x-tenant-slug,x-request-id,"
    "traceparent,tracestate,x-grpc-web,x-user-agent,grpc-timeout"
)
ANSWER_HEADERS = (
    "grpc-status,grpc-message,grpc-status-details-bin,x-request-id,retry-after,allow,www-authenticate,"
    "ratelimit,ratelimit-policy,ratelimit-limit,ratelimit-remaining,ratelimit-reset"
)
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9.*\[\]:-]+")
# A cache that stores an answer for one origin must not give it to another, nor to callers without one.
VARY = {"append": {"header": {"key": "vary", "value": "Origin"}, "append_action": "ADD_IF_ABSENT"}}


def policy(origins: Collection[str]) -> Json:
    """Return the policy of the cors filter. Credentials are bearer tokens, so that cookies stay out."""
    return typed(
        f"{FILTERS}.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"safe_regex": {"regex": origin_form(origin)}} for origin in origins],
        allow_methods="GET,HEAD,POST,PUT,PATCH,DELETE",
        allow_headers=REQUEST_HEADERS,
        expose_headers=ANSWER_HEADERS,
        max_age="600",
    )


def origin_form(origin: str) -> str:
    """Return the regular expression of an origin, in which `*` stands for one label of the host.

    Raises ValueError for what no browser sends as an origin.
    """
    if not ORIGIN.fullmatch(origin):
        raise ValueError(f"{origin!r} is no origin; write scheme, host and port, as https://app.example.com")
    escaped = "".join(character if character.isalnum() else f"\\{character}" for character in origin)
    return escaped.replace("\\*", "[a-z0-9-]+")


def origin_headers(origins: Collection[str]) -> list[tuple[list[Json], list[Json]]]:
    """Return, for the edge's own refusals, which callers get which headers; the first row that matches counts.

    The cors filter does not see all of them: some are made before the filters, and some by routes without a service.
    """
    if not origins:
        return [([], [])]
    allowed = matches("origin", "|".join(map(origin_form, origins)))
    return [
        ([allowed], [*readable("%REQ(ORIGIN)%"), header("vary", "Origin")]),
        # Envoy refuses some requests before it has read their headers. These refusals are the same for everybody.
        ([missing(":path")], readable("*")),
        ([], [header("vary", "Origin")]),
    ]


def readable(origin: str) -> list[Json]:
    """Return the headers that let a page of an origin read an answer."""
    return [header("access-control-allow-origin", origin), header("access-control-expose-headers", ANSWER_HEADERS)]


def header(name: str, value: str) -> Json:
    """Return a header for an answer, which replaces one of its name."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
