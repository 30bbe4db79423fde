"""The rules of passwords (docs/decisions/0025). Knows neither users nor hashing.

A password is accepted when enough of it can't be guessed. Common words, keyboard patterns, repetitions, and the names
of the owner count little; the mixture of characters does not count at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

__all__ = ["LENGTH", "PasswordRules", "normalise"]

LENGTH = range(15, 129)
"""The accepted lengths in characters, after normalisation."""

ENOUGH_SURPRISE = 8
"""The least `surprise` of an accepted password: about eight unrelated characters, or four common words."""

_WORD_LENGTHS = range(4, 21)
_LEET = ("01345789@$!|+", "oieastbgasilt"), ("01345789@$!|+", "oleasrbqaslit")
"""Two tables that read digits and signs as letters, because `1`, `!` and `7` stand for more than one letter."""
_ROWS = ("`1234567890-=", "qwertyuiop[]\\", "asdfghjkl;'", "zxcvbnm,./")
_SEQUENCES = ("abcdefghijklmnopqrstuvwxyz", "01234567890", *_ROWS)
_YEAR = re.compile(r"(?:19|20)\d\d")
_SHORTEST_NAME = 3
_SHORTEST_PATTERN = 4
"""Three neighbours in a row occur in ordinary words."""


def normalise(password: str) -> str:
    """Return the form that is checked and hashed: Unicode NFKC, so that every keyboard yields the same text."""
    return unicodedata.normalize("NFKC", password)


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """Decides whether a normalised password is hard enough to guess."""

    common: frozenset[str]
    """Common passwords and the words that they are made of, in lower case."""
    filler: frozenset[str]
    """Words such as `the`, which add nothing to a phrase."""

    @classmethod
    def load(cls) -> PasswordRules:
        """Return the rules with the word lists of this package."""
        return cls(_words("common_passwords.txt"), _words("filler_words.txt"))

    def refusal(self, password: str, context: Iterable[str] = ()) -> str | None:
        """Return the rule that the normalised password breaks, or None. `context` holds the names of its owner."""
        if len(password) not in LENGTH:
            return f"must have {LENGTH.start} to {LENGTH.stop - 1} characters"
        if self.surprise(password, context) < ENOUGH_SURPRISE:
            return (
                "is too easy to guess: it is made of common passwords, keyboard patterns, repetitions or your own "
                "address or name; use four or more unrelated words, or a password manager"
            )
        return None

    def surprise(self, password: str, context: Iterable[str] = ()) -> int:
        """Return the least cost of spelling the password. A common word costs 2. A single character, a filler word, a
        name of the context, a year, a pattern, and a repetition of an earlier part cost 1."""
        text = password.lower()[: LENGTH.stop]  # some letters become two when lowered; the work must stay bounded
        known = frozenset(part for name in context for part in _name_parts(name))
        readings = (text, *(text.translate(str.maketrans(*table)) for table in _LEET))
        patterns, repeats = _pattern_ends(text), _repeat_ends(text)
        best = [0] + [len(text)] * len(text)
        for start in range(len(text)):
            spent = best[start]
            for end in range(start + 1, max(patterns[start], repeats[start]) + 1):
                best[end] = min(best[end], spent + 1)
            for end, cost in self._words_from(readings, start, known):
                best[end] = min(best[end], spent + cost)
        return best[-1]

    def _words_from(self, readings: Sequence[str], start: int, known: frozenset[str]) -> Iterable[tuple[int, int]]:
        """Yield the end and the cost of each known word that begins at `start`."""
        longest = max(_WORD_LENGTHS.stop, max(map(len, known), default=0) + 1)
        for end in range(start + 2, min(start + longest, len(readings[0])) + 1):
            for reading in readings:
                word = reading[start:end]
                if word in known or word in self.filler or _YEAR.fullmatch(word):
                    yield end, 1
                elif len(word) in _WORD_LENGTHS and word in self.common:
                    yield end, 2


def _words(resource: str) -> frozenset[str]:
    text = resources.files(__package__).joinpath(resource).read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


def _name_parts(name: str) -> Iterable[str]:
    """Yield the name and its parts, from which a password may be built."""
    folded = normalise(name).lower()
    yield from (part for part in (folded, *re.split(r"[^\w]+|_", folded)) if len(part) >= _SHORTEST_NAME)


def _pattern_ends(text: str) -> list[int]:
    """Return, for each position, the end of the keyboard or alphabet walk that begins there."""
    ends = list(range(1, len(text) + 1))
    for start in range(len(text)):
        end = start + 1
        while end < len(text) and _adjacent(text[end - 1], text[end]):
            end += 1
        if end - start >= _SHORTEST_PATTERN:
            ends[start] = end
    return ends


def _repeat_ends(text: str) -> list[int]:
    """Return, for each position, the end of the longest repetition of an earlier part that begins there."""
    length = len(text)
    ends = list(range(1, length + 1))
    following = [0] * (length + 1)
    for start in range(length - 1, -1, -1):
        current = [0] * (length + 1)
        for earlier in range(start - 1, -1, -1):
            current[earlier] = 1 + following[earlier + 1] if text[earlier] == text[start] else 0
        following = current
        ends[start] = start + max(1, *current)
    return ends


def _adjacent(first: str, second: str) -> bool:
    """Return whether two characters are the same, or neighbours on a keyboard or in the alphabet."""
    if first == second:
        return True
    if any(first + second in row or second + first in row for row in _SEQUENCES):
        return True
    here, there = _place(first), _place(second)
    # Rows are shifted by half a key: a key touches two keys above, at its own column and at the next one.
    return here is not None and there is not None and abs(here[0] - there[0]) == 1 and abs(here[1] - there[1]) <= 1


def _place(character: str) -> tuple[int, int] | None:
    for number, row in enumerate(_ROWS):
        if (column := row.find(character)) >= 0:
            return number, column - (number == 0)
    return None
