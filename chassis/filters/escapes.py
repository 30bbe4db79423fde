"""Strings of a filter: the escapes inside of quotes, and the wildcards that are left after them."""

from __future__ import annotations

import re

from tenantmesh.chassis.filters.characters import character_of
from tenantmesh.chassis.filters.query_text import QueryText
from tenantmesh.chassis.filters.tree import Literal

__all__ = ["quoted", "unquoted"]

_MOST_WILDCARDS = 4
_PIECE = re.compile(r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|\\(.)|(\*)|([^\\*\"'\x00-\x1f]+|.)", re.DOTALL)
_SHORT = {"n": "\n", "r": "\r", "t": "\t"}
_ITSELF = "\\\"'*"


def quoted(source: QueryText, at: int) -> tuple[Literal, int]:
    """Return the string whose opening quote is at the index, and the index after its closing quote. Raises
    InvalidArgument for a string that does not end, and for an unknown escape."""
    quote, parts, index = source.text[at], [""], at + 1
    while True:
        found = _PIECE.match(source.text, index)
        if found is None:
            raise source.refused(at, f"this string does not end; close it with {quote}")
        if found[0] == quote:
            return _literal(source, at, parts), found.end()
        if found[4]:
            parts.append("")
        else:
            parts[-1] += found[5] or _unescaped(source, index, found)
        index = found.end()


def unquoted(source: QueryText, at: int, text: str) -> Literal:
    """Return a text without quotes. Nothing in it is an escape."""
    return _literal(source, at, text.split("*"))


def _literal(source: QueryText, at: int, parts: list[str]) -> Literal:
    if len(parts) > _MOST_WILDCARDS + 1:
        raise source.refused(at, f"a value takes at most {_MOST_WILDCARDS} wildcards; for a star itself write \\*")
    return Literal(tuple(parts), at)


def _unescaped(source: QueryText, at: int, found: re.Match[str]) -> str:
    code, character = found[1] or found[2], found[3]
    if code:
        return _character(source, at, int(code, 16))
    if character in _ITSELF:
        return character
    if character in _SHORT:
        return _SHORT[character]
    raise source.refused(at, r"is no escape; write \\ for a backslash, or one of \" \' \* \n \r \t \u0000 \U00000000")


def _character(source: QueryText, at: int, code: int) -> str:
    character = character_of(code)
    if character is None:
        raise source.refused(at, "no stored text has this character")
    return character
