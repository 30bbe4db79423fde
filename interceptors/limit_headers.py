"""The `ratelimit` headers: what is left of the limit that is nearest to its end, in the metadata of answers and
refusals. Source: IETF draft "RateLimit header fields for HTTP" (httpapi-ratelimit-headers), revision 10.

Refusals and answers over REST always say all: the field, its policy, and the three fields of earlier revisions that
most HTTP clients read. An answer over gRPC says the field alone, once a limit runs short: a header that nobody needs to
see yet would cost every call more than deciding about its limits does (decision 0021).
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

from interceptors.call import Call

__all__ = ["Limited", "limit_headers", "runs_short", "tell_limit"]

SHORT = 4
"""What is less than this part of a limit is worth telling."""


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
    nearest = _nearest(call)
    if nearest is None:
        return ()
    window = "" if nearest.window is None else f";w={nearest.window}"
    return (
        ("ratelimit", _field(nearest)),
        ("ratelimit-policy", f'"{nearest.name}";q={nearest.limit}{window}'),
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


def tell_limit(call: Call, context: Any) -> None:
    """Says what remains in an answer's trailing metadata, beside whatever is there."""
    nearest = _nearest(call)
    if nearest is not None:
        context.set_trailing_metadata((*(context.trailing_metadata() or ()), ("ratelimit", _field(nearest))))


def _field(limited: Limited) -> str:
    return f'"{limited.name}";r={limited.remaining};t={_whole_seconds(limited.reset)}'


def _whole_seconds(seconds: float) -> int:
    return int(seconds + 0.999)


def _nearest(call: Call) -> Limited | None:
    """The limit of which the least remains."""
    nearest = call.limited
    least = math.inf if nearest is None else nearest.remaining
    if call.burst is not None and call.burst[2].remaining < least:
        least, nearest = call.burst[2].remaining, None
    lowest = None
    for each in call.taken:
        remaining = each.holding.remaining
        if remaining < least:
            lowest, least = each.holding, remaining
    if lowest is not None:
        resets_in = max(0.0, lowest.ends_at - time.perf_counter())
        return Limited(lowest.meter, lowest.limit or 0, int(least), resets_in)
    if nearest is None and call.burst is not None:
        teller, rate, decision = call.burst
        return teller.told(rate, decision)
    return nearest
