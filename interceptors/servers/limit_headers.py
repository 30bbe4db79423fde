"""The `ratelimit` headers: the remaining units of the limits that a call met, on answers and refusals.
Source: IETF draft "RateLimit header fields for HTTP" (httpapi-ratelimit-headers), revision 10.

Refusals and answers over REST always list all limits with what remains of each, their policies, and, in the three
fields of earlier revisions that most HTTP clients read, the limit that is nearest to its end. An answer over gRPC lists
only limits that run short: a header that no client needs yet would cost every call more than deciding about its limits
does (decision 0021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tenantmesh.interceptors.limits import SHORT, Limited
from tenantmesh.interceptors.link import CompiledChain
from tenantmesh.interceptors.passage import Passage

__all__ = ["limit_headers", "send_short_limits"]


def limit_headers(chain: CompiledChain, call: Passage) -> tuple[tuple[str, str], ...]:
    """Return the headers of a refusal or of an answer over REST; none where the call met no limit."""
    limits = _limits(chain, call)
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


def send_short_limits(chain: CompiledChain, call: Passage, context: Any) -> None:
    """Add the limits of which less than a quarter remains to an answer's trailing metadata."""
    for runs_short in chain.run_short:  # not any(): nearly every call ends after this
        if runs_short(call):
            break
    else:
        if call.limited is None:
            return
    limits = _limits(chain, call)
    short = [limited for limited in limits if limited.remaining * SHORT < limited.limit or not limited.remaining]
    context.set_trailing_metadata((*(context.trailing_metadata() or ()), ("ratelimit", _fields(short))))


def _fields(limits: Sequence[Limited]) -> str:
    return ", ".join(f'"{limited.name}";r={limited.remaining};t={_whole_seconds(limited.reset)}' for limited in limits)


def _policy(limited: Limited) -> str:
    window = "" if limited.window is None else f";w={limited.window}"
    return f'"{limited.name}";q={limited.limit}{window}'


def _whole_seconds(seconds: float) -> int:
    return int(seconds + 0.999)


def _limits(chain: CompiledChain, call: Passage) -> list[Limited]:
    """Return the limits that the call met, the one with the least remaining first."""
    met = [] if call.limited is None else [call.limited]
    for limits in chain.limits:
        met += limits(call)
    return sorted(met, key=lambda limited: limited.remaining)
