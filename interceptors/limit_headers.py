"""The `ratelimit-*` headers: what is left of the limit that is nearest to its end. In the trailing metadata of answers
and refusals, named as in the IETF's draft "RateLimit header fields for HTTP"."""

from __future__ import annotations

from interceptors.call import Call
from interceptors.metadata import REQUEST_ID

__all__ = ["tell_limit"]


def tell_limit(call: Call, policy: str, limit: int, remaining: int, reset: float) -> None:
    """Says a limit to the caller, unless one that has less left has been said already.

    policy: the limit and its name, such as `1000;name="api_requests"`.
    reset: seconds until the whole limit is there again.
    """
    if remaining >= call.remaining:
        return
    call.remaining = remaining
    call.trailing = (
        ("ratelimit-limit", str(limit)),
        ("ratelimit-remaining", str(remaining)),
        ("ratelimit-reset", str(int(reset + 0.999))),
        ("ratelimit-policy", policy),
    )
    call.context.set_trailing_metadata(((REQUEST_ID, call.request_id), *call.trailing))
