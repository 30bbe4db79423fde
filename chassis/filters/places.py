"""The place of an item in an order, and its page token: the values of the order's keys.

The caller has been sent these values. Anyone can forge a token, so a place is read as strictly as a filter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from tenantmesh.chassis.pages import PageTokens

__all__ = ["SortPlace", "place_tokens"]

SortPlace: TypeAlias = tuple[Any, ...]
"""The values of an order's keys in one item; the empty place is before the first item."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST = 2**63


def place_tokens(purpose: bytes, kinds: Sequence[type]) -> PageTokens[SortPlace]:
    """Make the page tokens of an order whose keys have these types."""

    def decode(payload: bytes) -> SortPlace:
        try:
            return _decoded(payload, kinds)
        except (RecursionError, OverflowError) as error:
            raise ValueError("no place") from error

    return PageTokens(purpose, (), _encoded, decode)


def _encoded(place: SortPlace) -> bytes:
    return json.dumps([_to_json(value) for value in place], separators=(",", ":"), ensure_ascii=False).encode()


def _to_json(value: object) -> object:
    if isinstance(value, datetime):
        return (value - _EPOCH) // _MICROSECOND
    return str(value) if isinstance(value, UUID) else value


def _decoded(payload: bytes, kinds: Sequence[type]) -> SortPlace:
    """Return the place in a token. Raises ValueError for bytes that `_encoded` does not make of such a place."""
    values = json.loads(payload)
    if not isinstance(values, list):
        raise ValueError("no place")
    place = tuple(_from_json(value, kind) for value, kind in zip(values, kinds, strict=True))
    if _encoded(place) != payload:
        raise ValueError("another spelling")
    return place


def _from_json(value: Any, kind: type) -> object:
    if value is None:
        return None
    if kind is datetime and type(value) is int:
        return _EPOCH + value * _MICROSECOND
    if kind is UUID and type(value) is str:
        return UUID(value)
    if type(value) is not kind or "\0" in str(value) or (isinstance(value, int) and abs(value) >= _LARGEST):
        raise ValueError("no value of this key")
    return value
