"""Masks what differs from run to run, so that two transcripts can be compared.

Ids, etags, cursors and page tokens are numbered in the order in which they first appear: a page that shows one id twice
differs from an answer that has two. What is left of a limit depends on how fast the page is run, but not at its first
call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["Masks", "pairs", "translated"]

_NAMED = re.compile(
    r"""
      (?P<id>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)
    | (?<="etag":")(?P<etag>[0-9a-f]{16}) | (?<="etag":[ ]")(?P<etag2>[0-9a-f]{16})
    | (?<="cursor":")(?P<cursor>[\w-]{12,}) | (?<=cursor=)(?P<cursor2>[\w-]{12,})
    | (?<=^id:[ ])(?P<cursor3>[\w-]{12,}) | (?<="nextPageToken":")(?P<token>[\w-]{12,})
    | (?<=tenantmesh-proof=)(?P<proof>[a-z2-7]{26})
    """,
    re.VERBOSE | re.MULTILINE,
)
_MASKED = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "<time>"),
    (re.compile(r"(?<=^date: ).*", re.MULTILINE), "<time>"),
    (re.compile(r"\btmk_[\w-]+…?"), "<key>"),
    (re.compile(r"\btml_[\w-]+"), "<token>"),
    (re.compile(r"(?<=by the key )[0-9a-f]{16}|(?<=what the key )[0-9a-f]{16}"), "<kid>"),
    (re.compile(r"\bok +\d+\.\d+s"), "ok <seconds>"),
    (re.compile(r"\bt=\d+"), "t=<number>"),
    (re.compile(r"(?<=^ratelimit-reset: )\d+|(?<=^retry-after: )\d+", re.MULTILINE), "<number>"),
    (re.compile(r"(?<=^content-length: )\d+", re.MULTILINE), "<number>"),
    # A level reaches tenant_svc a moment after the row that raised it.
    (re.compile(r"(?<=^tenant\.gauges  )\d+", re.MULTILINE), "<number>"),
    (re.compile(r'(?<="labels":)\{[^{}]*\}'), "<labels>"),  # a map, in any order
    (re.compile(r'(?<="retryDelay":")\d+s|(?<="position":")\d+'), "<number>"),
)
_LEFT = re.compile(r"^(?P<header>ratelimit|ratelimit-remaining): (?P<value>.*)", re.MULTILINE)


class Masks:
    """The masks of one transcript."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        """The kind of each named value, in the order in which they first appeared."""
        self._limits_shown: set[str] = set()
        """The headers with what is left of a limit that a call has shown."""

    def mask(self, text: str) -> str:
        """Return the text with what differs from run to run replaced."""
        text = _LEFT.sub(self._left, _NAMED.sub(self._named, text))
        for pattern, mask in _MASKED:
            text = pattern.sub(mask, text)
        return text

    def _named(self, match: re.Match[str]) -> str:
        value, kind = match[0], (match.lastgroup or "").rstrip("23")
        self.found.setdefault(value, kind)
        return f"<{kind} {list(self.found).index(value)}>"

    def _left(self, match: re.Match[str]) -> str:
        header = match["header"]
        if header not in self._limits_shown:
            self._limits_shown.add(header)
            return match[0]
        return f"{header}: " + re.sub(r"\br=\d+|^\d+$", "<left>", match["value"])


def pairs(here: Masks, there: Masks) -> Iterator[tuple[str, str]]:
    """Yield each named value with the one in its place in the other transcript, until they are of other kinds."""
    for (shown, kind), (found, other) in zip(here.found.items(), there.found.items(), strict=False):
        if kind != other:
            return
        yield shown, found


def translated(text: str, words: Mapping[str, str]) -> str:
    """Return the text with each of these words replaced, in one pass: a replacement is not replaced again."""
    if not words:
        return text
    known = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.sub(rf"(?<![\w-])(?:{known})(?![\w-])", lambda found: words[found[0]], text)
