"""JSON in canonical form (RFC 8785): one text for one value, so that a signature over the text is one over the value.

Numbers are whole and exact in every reader of JSON. That leaves out the hard part of the RFC, how a float is written.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["NotCanonical", "canonical", "parsed"]

_MOST = 2**53 - 1
"""Beyond this, readers whose numbers are floats read another number."""
_DEEPEST = 32


class NotCanonical(ValueError):
    """A value without a canonical form here, or a text that is not in it. The message says where."""


def canonical(value: Any) -> bytes:
    """Return the value's canonical form. Raises NotCanonical for floats, large numbers and lone surrogates."""
    return _written(value, "$", 0).encode("utf-8")


def parsed(text: bytes) -> Any:
    """Return the value of a text in canonical form. Raises NotCanonical for any other text, and for two keys alike."""
    try:
        value = json.loads(text.decode("utf-8"))
    except (UnicodeError, ValueError, RecursionError) as error:
        raise NotCanonical("it is no JSON in UTF-8") from error
    if canonical(value) != text:
        raise NotCanonical("it is JSON in another form than that of RFC 8785")
    return value


def _written(value: Any, place: str, depth: int) -> str:
    if depth > _DEEPEST:
        raise NotCanonical(f"{place}: deeper than {_DEEPEST}")
    if isinstance(value, dict):
        members = [_member(name, value[name], place, depth) for name in sorted(value, key=_order)]
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(_written(each, f'{place}[{at}]', depth + 1) for at, each in enumerate(value))}]"
    return _scalar(value, place)


def _member(name: Any, value: Any, place: str, depth: int) -> str:
    return f"{_scalar(name, place)}:{_written(value, f'{place}.{name}', depth + 1)}"


def _scalar(value: Any, place: str) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and abs(value) <= _MOST:
        return str(value)
    if isinstance(value, str):
        _order(value)
        return json.dumps(value, ensure_ascii=False)
    raise NotCanonical(f"{place}: {type(value).__name__} {value!r:.40} has no form here")


def _order(name: Any) -> bytes:
    """Return what names are sorted by: their UTF-16 code units. Raises NotCanonical for a lone surrogate."""
    if not isinstance(name, str):
        raise NotCanonical(f"a name is a text, and no {type(name).__name__}")
    try:
        return name.encode("utf-16-be")
    except UnicodeEncodeError as error:
        raise NotCanonical("a text has half of a surrogate pair") from error
