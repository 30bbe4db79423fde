"""The limits of the edge, each with its default. Not here: where Envoy's configuration has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tenantmesh.runtime.settings import Duration

__all__ = ["EdgeLimits"]

MIB = 1024 * 1024
_DURATION = TypeAdapter[timedelta](Duration)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """The limits of the edge, beyond which it refuses a call. Sizes are bytes; rates are calls a second."""

    request_body: int = 1 * MIB
    """The largest body of a REST call. gRPC messages are bounded one by one by the services."""

    response_body: int = 16 * MIB
    """The largest answer that is turned into JSON."""

    request_headers_kib: int = 16
    request_headers_count: int = 100
    connections: int = 10_000
    """Connections of all callers; one more is closed."""

    address_groups: int = 8
    """Callers' addresses fall into so many groups, by a hash. Each group costs 7 MB of memory. One: no groups."""

    group_connections: int = 2_000
    """Connections of a group of addresses; one more is closed."""

    streams_per_connection: int = 100
    unread_frames: int = 5_000
    """Frames of HTTP/2 that wait for a caller who does not read; a connection with more is closed. Envoy's own limit is
    10,000."""

    unread_control_frames: int = 500
    """Those among them that answer settings, pings and resets. Envoy's own limit is 1,000."""

    early_cancels: int = 500
    """Calls of a connection after which it is closed, if the caller has cancelled most of them within a second. Not
    behind proxies, whose connections callers share."""

    upstream_requests: int = 10_000
    """Calls under way per upstream; one more is refused with 503."""

    upstream_streams: int = 50
    """Calls under way on one connection to a service, at half of what the service takes: it counts a cancelled call
    until it has ended it."""

    address_rate: int = 300
    address_burst: int = 500
    """Calls of one address (of IPv6: one /64), refused ones included."""

    credential_rate: int = 300
    credential_burst: int = 100
    """Calls with one `authorization` header, from any address. More at once would make others wait at the service: 500
    cost them half a second."""

    counted_callers: int = 20_000
    """Addresses and credentials whose calls are counted, the latest ones."""

    heap: int = 1024 * MIB
    """Envoy's own memory; at 95 % of it new requests are refused."""

    silent_connection: timedelta = timedelta(seconds=10)
    """How long a new connection may send nothing: TLS, or HTTP where there are no groups of addresses."""

    request_headers: timedelta = timedelta(seconds=15)
    """How long a caller may take to send a request's headers."""

    idle_connection: timedelta = timedelta(seconds=75)
    """How long a connection may have no call under way, from its first moment. Longer than a proxy in front keeps one:
    else that proxy sends calls into connections that are closing."""

    idle_stream: timedelta = timedelta(minutes=5)
    """How long a stream may be silent in both directions. What answers once is bounded by its policy instead."""

    connect: timedelta = timedelta(seconds=1)
    health_interval: timedelta = timedelta(seconds=1)
    """How often upstreams are asked whether they serve. A draining service must wait longer than this."""

    health_timeout: timedelta = timedelta(seconds=5)
    """How long a service may take to say whether it serves. Slow is not dead."""

    def changed(self, texts: Iterable[str]) -> EdgeLimits:
        """Return the limits with these changed, each as `name=number` or `name=duration`. Raises ValueError."""
        changes: dict[str, Any] = dict(self._parsed(text) for text in texts)
        return dataclasses.replace(self, **changes)

    def _parsed(self, text: str) -> tuple[str, int | timedelta]:
        name, _, value = text.partition("=")
        if name not in self.__dataclass_fields__:
            raise ValueError(f"{text!r}: no such limit; the limits are {', '.join(self.__dataclass_fields__)}")
        try:
            parsed = int(value) if isinstance(getattr(self, name), int) else _DURATION.validate_python(value)
        except (ValueError, ValidationError):
            like = "number" if isinstance(getattr(self, name), int) else "duration, such as 500ms or 10s"
            raise ValueError(f"{text!r}: write {name}=, and a {like}") from None
        if (parsed if isinstance(parsed, int) else parsed.total_seconds()) <= 0:
            raise ValueError(f"{text!r}: the limit must be above zero")
        return name, parsed
