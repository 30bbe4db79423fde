"""The `ratelimit` headers: what is left of the limit that is nearest to its end, in the metadata of answers and
refusals. Source: IETF draft "RateLimit header fields for HTTP" (httpapi-ratelimit-headers), revision 10.

An answer over gRPC has the one field that changes from call to call, since every header costs 5 µs there (decision
0021). Refusals and answers over REST have the policy too, and the three fields of earlier revisions, which most HTTP
clients read.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from interceptors.call import Call

__all__ = ["Limited", "limit_field", "limit_headers", "tell_limit"]


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

    def field(self) -> tuple[str, str]:
        """`ratelimit`: what remains, and the seconds until it is all there again."""
        return "ratelimit", f'"{self.name}";r={self.remaining};t={int(self.reset + 0.999)}'

    def headers(self) -> tuple[tuple[str, str], ...]:
        """All that there is to say."""
        window = "" if self.window is None else f";w={self.window}"
        return (
            self.field(),
            ("ratelimit-policy", f'"{self.name}";q={self.limit}{window}'),
            ("ratelimit-limit", str(self.limit)),
            ("ratelimit-remaining", str(self.remaining)),
            ("ratelimit-reset", str(int(self.reset + 0.999))),
        )


def limit_headers(call: Call) -> tuple[tuple[str, str], ...]:
    """What a refusal or an answer over REST says; nothing where no limit applied."""
    nearest = _nearest(call)
    return () if nearest is None else nearest.headers()


def limit_field(call: Call) -> tuple[tuple[str, str], ...]:
    """What an answer over gRPC says; nothing where no limit applied."""
    nearest = _nearest(call)
    return () if nearest is None else (nearest.field(),)


def tell_limit(call: Call, context: Any) -> None:
    """Adds the field to whatever an answer's trailing metadata is."""
    if field := limit_field(call):
        already = context.trailing_metadata()
        context.set_trailing_metadata((*already, *field) if already else field)


def _nearest(call: Call) -> Limited | None:
    """The limit of which the least remains."""
    nearest: Limited | None = call.limited
    if call.burst is not None:
        teller, rate, decision = call.burst
        if nearest is None or decision.remaining < nearest.remaining:
            nearest = teller.told(rate, decision)
    for each in call.taken:
        holding = each.holding
        remaining = holding.remaining
        if nearest is None or remaining < nearest.remaining:
            resets_in = max(0.0, holding.ends_at - time.perf_counter())
            nearest = Limited(holding.meter, holding.limit or 0, remaining, resets_in)
    return nearest
