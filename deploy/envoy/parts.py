"""The shapes that Envoy's configuration repeats: typed extensions, durations, addresses, header matches."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Any

__all__ = [
    "FILTERS",
    "PORTS",
    "Json",
    "http_filter",
    "is_ip",
    "matches",
    "missing",
    "present",
    "seconds",
    "socket_address",
    "split_target",
    "switched_off",
    "switched_on",
    "typed",
]

Json = dict[str, Any]

FILTERS = "envoy.extensions.filters.http"
PORTS = range(1, 65_536)
"""The ports that exist."""


def typed(message: str, **fields: Any) -> Json:
    """Return a message that names its own type, as Envoy's extension points take them."""
    return {"@type": f"type.googleapis.com/{message}", **fields}


def http_filter(name: str, message: str, **fields: Any) -> Json:
    """Return one of Envoy's own HTTP filters, configured."""
    return {"name": f"envoy.filters.http.{name}", "typed_config": typed(f"{FILTERS}.{name}.v3.{message}", **fields)}


def switched_off(name: str) -> Json:
    """Return the per-route override that takes a filter out."""
    return {f"envoy.filters.http.{name}": typed("envoy.config.route.v3.FilterConfig", disabled=True)}


def switched_on(name: str) -> Json:
    """Return the per-route override that puts in a filter that is off by default."""
    return {name: typed("envoy.config.route.v3.FilterConfig", config={})}


def seconds(duration: timedelta) -> str:
    """Return a duration as protobuf's JSON writes it: `1.5s`."""
    return f"{duration.total_seconds():g}s"


def socket_address(host: str, port: int) -> Json:
    """Return an address as listeners, endpoints and the admin interface take it."""
    return {"socket_address": {"address": host, "port_value": port}}


def split_target(target: str) -> tuple[str, int]:
    """Split `host:port` or `[ipv6]:port`. Raises ValueError that names the target."""
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"{target!r} is no host:port")
    if int(port) not in PORTS:
        raise ValueError(f"{target!r} has a port that does not exist: ports are {PORTS.start} to {PORTS.stop - 1}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_ip(host: str) -> bool:
    """Return whether a host is an address already and needs no name server."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def present(header: str) -> Json:
    """Match a request that has the header."""
    return {"name": header, "present_match": True}


def missing(header: str) -> Json:
    """Match a request that has no such header."""
    return {**present(header), "invert_match": True}


def matches(header: str, regex: str, *, invert: bool = False) -> Json:
    """Match a request whose header, as a whole, is of the form (RE2). Inverted: has another form, or is missing."""
    matched: Json = {"name": header, "string_match": {"safe_regex": {"regex": regex}}}
    return {**matched, "invert_match": True, "treat_missing_header_as_empty": True} if invert else matched
