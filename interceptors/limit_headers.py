"""The `ratelimit-*` headers: what is left of the limit that is nearest to its end. In the trailing metadata of answers
and refusals, named as in the IETF's draft "RateLimit header fields for HTTP"."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from interceptors.call import Call

__all__ = ["Limited", "limit_headers", "tell_limit"]


class Limited(NamedTuple):
    """A limit as a caller is told of it.

    policy: the limit and its name, such as `1000;name="api_requests"`.
    reset: seconds until the whole limit is there again.
    """

    policy: str
    limit: int
    remaining: int
    reset: float


def limit_headers(call: Call) -> tuple[tuple[str, str], ...]:
    """What there is to say to the caller of its limits; nothing where none applied."""
    told: Limited | None = call.limited
    if call.burst is not None:
        teller, rate, decision = call.burst
        burst = teller.told(rate, decision)
        told = burst if told is None or burst.remaining < told.remaining else told
    for each in call.taken:
        holding = each.holding
        remaining = holding.remaining
        if told is None or remaining < told.remaining:
            told = Limited(holding.text, holding.limit or 0, remaining, max(0.0, holding.ends_at - time.perf_counter()))
    if told is None:
        return ()
    return (
        ("ratelimit-limit", str(told.limit)),
        ("ratelimit-remaining", str(told.remaining)),
        ("ratelimit-reset", str(int(told.reset + 0.999))),
        ("ratelimit-policy", told.policy),
    )


def tell_limit(call: Call, context: Any) -> None:
    """Adds the headers to whatever an answer's trailing metadata is."""
    headers = limit_headers(call)
    if headers:
        context.set_trailing_metadata((*(context.trailing_metadata() or ()), *headers))
