"""The `ratelimit` headers: the remaining units of the limits that a call met, on answers and refusals.
Source: IETF draft "RateLimit header fields for HTTP" (httpapi-ratelimit-headers), revision 10, whose fields are
structured fields (RFC 9651): a name or a number that is none would make a client drop the whole field.

Refusals and answers over REST always list all limits with what remains of each, their policies, and, in the three
fields of earlier revisions that most HTTP clients read, the limit that is nearest to its end. An answer over gRPC lists
only limits that run short: a header that no client needs yet would cost every call more than deciding about its limits
does (decision 0021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tenantmesh.interceptors.limits import SHORT, Limited
from tenantmesh.interceptors.link import CompiledChain
from tenantmesh.interceptors.passage import Passage

__all__ = ["LARGEST_INTEGER", "limit_headers", "send_short_limits"]

LARGEST_INTEGER = 999_999_999_999_999
"""The largest integer of a structured field. A larger limit is written as this one."""


def limit_headers(chain: CompiledChain, call: Passage) -> tuple[tuple[str, str], ...]:
    """Return the headers of a refusal or of an answer over REST; none where the call met no limit."""
    limits = _limits(chain, call)
    if not limits:
        return ()
    nearest = limits[0]
    return (
        ("ratelimit", _fields(limits)),
        ("ratelimit-policy", ", ".join(map(_policy, limits))),
        ("ratelimit-limit", str(_integer(nearest.limit))),
        ("ratelimit-remaining", str(_integer(nearest.remaining))),
        ("ratelimit-reset", str(_whole_seconds(nearest.reset))),
    )


def send_short_limits(chain: CompiledChain, call: Passage, context: Any) -> None:
    """Add the limits of which less than a quarter remains to an answer's trailing metadata. Call it where there are
    some: `Passage.runs_short`, or a limit that refused a charge."""
    limits = _limits(chain, call)
    short = [limited for limited in limits if limited.remaining * SHORT < limited.limit or not limited.remaining]
    context.set_trailing_metadata((*(context.trailing_metadata() or ()), ("ratelimit", _fields(short))))


def _fields(limits: Sequence[Limited]) -> str:
    return ", ".join(
        f"{_string(limited.name)};r={_integer(limited.remaining)};t={_whole_seconds(limited.reset)}"
        for limited in limits
    )


def _policy(limited: Limited) -> str:
    window = "" if limited.window is None else f";w={_integer(limited.window)}"
    return f"{_string(limited.name)};q={_integer(limited.limit)}{window}"


@lru_cache(maxsize=256)
def _string(name: str) -> str:
    """Return the name as a string of a structured field: printable ASCII, quotes and backslashes escaped."""
    text = "".join(character if character.isascii() and character.isprintable() else "?" for character in name)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _integer(number: int) -> int:
    return min(max(number, 0), LARGEST_INTEGER)


def _whole_seconds(seconds: float) -> int:
    return _integer(math.ceil(min(seconds, LARGEST_INTEGER) - 1e-3))  # what is a moment more is no second more


def _limits(chain: CompiledChain, call: Passage) -> list[Limited]:
    """Return the limits that the call met, the one with the least remaining first."""
    met = [] if call.limited is None else [call.limited]
    for limits in chain.limits:
        met += limits(call)
    return sorted(met, key=lambda limited: limited.remaining)
