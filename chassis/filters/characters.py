"""Characters of filters: those that a text can hold, and how a message shows the ones that do not show themselves."""

from __future__ import annotations

import sys

__all__ = ["character_of", "shown"]

_SHORT_ESCAPES = 0xFFFF
_SURROGATES = range(0xD800, 0xE000)


def shown(character: str) -> str:
    """Return a character that shows itself as it is, and another one as its escape."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= _SHORT_ESCAPES else f"\\U{code:08x}"


def character_of(code: int) -> str | None:
    """Return the character of a code; None for one that no stored text has: NUL, and halves of characters."""
    return None if code == 0 or code in _SURROGATES or code > sys.maxunicode else chr(code)
