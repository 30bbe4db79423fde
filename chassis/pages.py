"""Paging of lists: the size of a page, and the token with which the next page begins."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import Generic, TypeVar

from tenantmesh.chassis.opaque import pack, unpack
from tenantmesh.chassis.requests import id_problem, refuse
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument

__all__ = ["Page", "PageTokens", "id_in", "id_tokens", "page_size", "uuid_tokens"]

_DEFAULT = 50
_LARGEST = 1000
_UUID = 16

_Item = TypeVar("_Item")
_Place = TypeVar("_Place")


def page_size(asked: int) -> int:
    """Return the size of a page: 50 if the request asks for none, 1,000 at most. Raises InvalidArgument below zero."""
    refuse({"page_size": "must not be negative" if asked < 0 else None})
    return min(asked or _DEFAULT, _LARGEST)


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """Some items of a list, and the token of the next page; empty on the last page."""

    items: list[_Item]
    next_token: str


@dataclass(frozen=True, slots=True)
class PageTokens(Generic[_Place]):
    """The page tokens of one list, or of the part of it that a request selects.

    purpose: keeps the tokens of two lists apart; at most 8 bytes.
    first: the place where the first page begins.
    encode, decode: a place as bytes, and back. `decode` raises ValueError for bytes that `encode` did not make.
    scope: keeps the tokens of two parts apart, at most 32 bytes; empty for a list without parts.
    """

    purpose: bytes
    first: _Place
    encode: Callable[[_Place], bytes]
    decode: Callable[[bytes], _Place]
    scope: bytes = b""

    def of(self, *selection: str) -> PageTokens[_Place]:
        """Return the tokens of one part, which no other part takes. `selection` is the tenant and the filters."""
        return replace(self, scope=blake2s("\0".join(selection).encode()).digest())

    def token(self, place: _Place) -> str:
        """Return the token of the page that begins after the place."""
        return pack(self.purpose, self.encode(place), self.scope)

    def open(self, token: str) -> _Place:
        """Return the place after which the page begins. Raises InvalidArgument for a token of another list, for one
        of another part, and for a text that is no token."""
        if not token:
            return self.first
        try:
            return self.decode(unpack(self.purpose, token, self.scope))
        except ValueError as error:
            problem = "must be the next_page_token of the page before, unchanged, with the same tenant and filter"
            raise InvalidArgument.fields([FieldViolation("page_token", problem)]) from error

    def page(self, found: list[_Item], size: int, place_of: Callable[[_Item], _Place]) -> Page[_Item]:
        """Return the page of that size. `found` holds one item more than the page if another page follows."""
        more = len(found) > size
        return Page(found[:size], self.token(place_of(found[size - 1])) if more else "")


def id_tokens(purpose: bytes) -> PageTokens[str]:
    """Make the page tokens of a list in the order of its items' ids. The empty id stands before the first."""
    return PageTokens(purpose, "", str.encode, id_in)


def id_in(payload: bytes) -> str:
    """Return the id in a token, or the empty id. Raises ValueError for other bytes, as of a forged token."""
    text = payload.decode("ascii", "replace")
    if text and id_problem(text):
        raise ValueError("no id")
    return text


def uuid_tokens(purpose: bytes, first: uuid.UUID) -> PageTokens[uuid.UUID]:
    """Make the page tokens of a list in the order of its items' UUIDs."""
    return PageTokens(purpose, first, lambda place: place.bytes, _uuid_in)


def _uuid_in(payload: bytes) -> uuid.UUID:
    if len(payload) != _UUID:
        raise ValueError("made for something else")
    return uuid.UUID(bytes=payload)
