"""The `ratelimit` headers: what is left of the limits that a call met, in the metadata of answers and refusals.
Source: IETF draft "RateLimit header fields for HTTP" (httpapi-ratelimit-headers), revision 10.

Refusals and answers over REST always say all: what remains of each limit, their policies, and in the three fields of
earlier revisions, which most HTTP clients read, the one that is nearest to its end. An answer over gRPC says what runs
short and nothing else: a header that nobody needs to see yet would cost every call more than deciding about its limits
does (decision 0021).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from tenantmesh.interceptors.call import Call

__all__ = ["Limited", "limit_headers", "runs_short", "tell_limits"]

SHORT = 4
"""A limit runs short when this times what remains is less than the whole."""


class Limited(NamedTuple):
    """A limit as a caller is told of it.

    name: the rate class or meter.
    reset: seconds until the whole limit is there again.
    window: seconds in which the limit renews itself; None for the periods of the calendar.
    """

    name: str
    limit: int
    remaining: int
    reset: float
    window: int | None = None


def limit_headers(call: Call) -> tuple[tuple[str, str], ...]:
    """What a refusal or an answer over REST says; nothing where no limit applied."""
    limits = _applied(call)
    if not limits:
        return ()
    nearest = limits[0]
    return (
        ("ratelimit", _fields(limits)),
        ("ratelimit-policy", ", ".join(map(_policy, limits))),
        ("ratelimit-limit", str(nearest.limit)),
        ("ratelimit-remaining", str(nearest.remaining)),
        ("ratelimit-reset", str(_whole_seconds(nearest.reset))),
    )


def runs_short(call: Call) -> bool:
    """Whether less than a quarter of a limit remains."""
    if call.burst is not None and call.burst[2].remaining * SHORT < call.burst[1].burst:
        return True
    for each in call.taken:
        holding = each.holding
        if holding.limit is not None and holding.remaining * SHORT < holding.limit:
            return True
    return call.limited is not None


def tell_limits(call: Call, context: Any) -> None:
    """Says in an answer's trailing metadata, beside whatever is there, which limits run short."""
    short = [each for each in _applied(call) if each.remaining * SHORT < each.limit or not each.remaining]
    context.set_trailing_metadata((*(context.trailing_metadata() or ()), ("ratelimit", _fields(short))))


def _fields(limits: Sequence[Limited]) -> str:
    return ", ".join(f'"{each.name}";r={each.remaining};t={_whole_seconds(each.reset)}' for each in limits)


def _policy(limited: Limited) -> str:
    window = "" if limited.window is None else f";w={limited.window}"
    return f'"{limited.name}";q={limited.limit}{window}'


def _whole_seconds(seconds: float) -> int:
    return int(seconds + 0.999)


def _applied(call: Call) -> list[Limited]:
    """The limits that the call met, the one of which the least remains first."""
    found = [] if call.limited is None else [call.limited]
    if call.burst is not None:
        teller, rate, decision = call.burst
        found.append(teller.told(rate, decision))
    for each in call.taken:
        holding = each.holding
        resets_in = max(0.0, holding.ends_at - time.perf_counter())
        found.append(Limited(holding.meter, holding.limit or 0, holding.remaining, resets_in))
    return sorted(found, key=lambda limited: limited.remaining)
