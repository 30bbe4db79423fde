"""Names in refusals: the first ten, and how many more there are.

A refusal travels in trailers. Where they are too long, the caller's own gRPC answers RESOURCE_EXHAUSTED instead and
loses the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MOST_NAMED", "in_metadata", "in_words"]

MOST_NAMED = 10


def in_words(names: Sequence[str], unnamed: int = 0) -> str:
    """Return the names for people, as `a, b and 3 more`. `unnamed` counts those whose names are not at hand."""
    listed = ", ".join(names[:MOST_NAMED])
    more = len(names[MOST_NAMED:]) + unnamed
    return f"{listed} and {more} more" if more > 0 else listed


def in_metadata(key: str, names: Sequence[str], unnamed: int = 0) -> dict[str, str]:
    """Return the names for machines, separated by commas; `<key>_more` counts those left out, where any are."""
    listed = {key: ",".join(names[:MOST_NAMED])}
    more = len(names[MOST_NAMED:]) + unnamed
    return {**listed, f"{key}_more": str(more)} if more > 0 else listed
