"""Mutations of a text that we have issued: second spellings of it, and texts near it."""

from __future__ import annotations

import os
import random
import string
from collections.abc import Callable, Iterator
from itertools import count, islice

MUTATIONS = int(os.environ.get("TENANTMESH_TEST_MUTATIONS", "2000"))
"""How many of each kind of text a test tries; `make test-spellings` tries more."""

_ALPHABET = string.ascii_letters + string.digits + "-_"
_ELSEWHERE = "=+/!*.,:;%~ \t\r\n\0\x7fé\u00a0\u200b\uff21"
_CHARACTERS = _ALPHABET + _ELSEWHERE


def mutations(text: str, *, seed: int = 9) -> Iterator[str]:
    """Texts that differ from this one: each spelling that a lenient reader may take for it, and then random ones."""
    made = random.Random(seed)
    for known in _spellings(text):
        if known != text:
            yield known
    random_ones = (_mutated(text, made) for _ in count())
    yield from islice((mutated for mutated in random_ones if mutated != text), MUTATIONS)


def _mutated(text: str, made: random.Random) -> str:
    for _ in range(made.choice((1, 1, 1, 2, 5))):
        text = made.choice(_CHANGES)(text, made)
    return text


def _spellings(text: str) -> Iterator[str]:
    """Spellings of every segment: padding, other alphabets, characters that decoders skip, bits after the last byte."""
    for end in (index for index in range(1, len(text) + 1) if index == len(text) or text[index] == "."):
        head, tail = text[:end], text[end:]
        for padding in ("=", "==", "===", "====", "A", "AA", "AAA", "\n", " ", "\0"):
            yield head + padding + tail
        for last in _ALPHABET:
            yield head[:-1] + last + tail
    yield from (text.upper(), text.lower(), text.swapcase(), text.title())
    yield from (text.replace("-", "+"), text.replace("_", "/"), text.replace("-", "+").replace("_", "/"))
    yield from (
        f" {text}",
        f"{text} ",
        f"\n{text}",
        f'"{text}"',
        f"Bearer {text}",
        f"{text}.",
        f".{text}",
        f"{text},{text}",
    )
    for index in range(0, len(text), max(1, len(text) // 40)):
        for character in _ELSEWHERE:
            yield text[:index] + character + text[index:]


def _replaced(text: str, made: random.Random) -> str:
    at = made.randrange(len(text))
    return text[:at] + made.choice(_CHARACTERS) + text[at + 1 :]


def _inserted(text: str, made: random.Random) -> str:
    at = made.randrange(len(text) + 1)
    return text[:at] + made.choice(_CHARACTERS) + text[at:]


def _deleted(text: str, made: random.Random) -> str:
    at = made.randrange(len(text))
    return text[:at] + text[at + 1 :] or "x"


def _swapped(text: str, made: random.Random) -> str:
    at = made.randrange(len(text))
    return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]


def _recased(text: str, made: random.Random) -> str:
    at = made.randrange(len(text))
    return text[:at] + text[at].swapcase() + text[at + 1 :]


def _cut(text: str, made: random.Random) -> str:
    return text[: made.randrange(1, len(text) + 1)]


def _repeated(text: str, made: random.Random) -> str:
    at = made.randrange(len(text))
    return text[:at] + text[at : at + made.randrange(1, 9)] + text[at:]


_CHANGES: tuple[Callable[[str, random.Random], str], ...] = (
    _replaced,
    _inserted,
    _deleted,
    _swapped,
    _recased,
    _cut,
    _repeated,
)
