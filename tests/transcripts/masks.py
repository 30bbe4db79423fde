"""Masks what differs from run to run, so that two transcripts can be compared.

Ids, etags and cursors are numbered in the order in which they first appear: a page that shows one id twice differs from
an answer that has two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["Masks"]

_NAMED = re.compile(
    r"""
      (?P<id>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)
    | (?<="etag":")(?P<etag>[0-9a-f]{16}) | (?<="etag":[ ]")(?P<etag2>[0-9a-f]{16})
    | (?<="cursor":")(?P<cursor>[\w-]{12,}) | (?<=cursor=)(?P<cursor2>[\w-]{12,})
    | (?<=^id:[ ])(?P<cursor3>[\w-]{12,})
    """,
    re.VERBOSE | re.MULTILINE,
)
_MASKED = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"(?<=^date: ).*", re.MULTILINE), "<time>"),
    (re.compile(r"\btmk_[\w-]+…?"), "<key>"),
    (re.compile(r"\bok +\d+\.\d+s"), "ok <seconds>"),
    (re.compile(r"\b(r|t)=\d+"), r"\1=<number>"),
    (
        re.compile(r"(?<=^ratelimit-remaining: )\d+|(?<=^ratelimit-reset: )\d+|(?<=^retry-after: )\d+", re.MULTILINE),
        "<number>",
    ),
    (re.compile(r"(?<=^content-length: )\d+", re.MULTILINE), "<number>"),
    (re.compile(r'(?<="retryDelay":")\d+s|(?<="position":")\d+'), "<number>"),
)


class Masks:
    """The masks of one transcript."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        """The kind of each named value, in the order in which they first appeared."""

    def mask(self, text: str) -> str:
        """Return the text with what differs from run to run replaced."""
        text = _NAMED.sub(self._named, text)
        for pattern, mask in _MASKED:
            text = pattern.sub(mask, text)
        return text

    def _named(self, match: re.Match[str]) -> str:
        value, kind = match[0], (match.lastgroup or "").rstrip("23")
        self.found.setdefault(value, kind)
        return f"<{kind} {list(self.found).index(value)}>"


def pairs(here: Masks, there: Masks) -> Iterator[tuple[str, str]]:
    """Yield each named value with the one in its place in the other transcript, until they are of other kinds."""
    for (shown, kind), (found, other) in zip(here.found.items(), there.found.items(), strict=False):
        if kind != other:
            return
        yield shown, found
