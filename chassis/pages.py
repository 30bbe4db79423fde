"""Paging of lists: the size of a page in rows and in bytes, and the token with which the next page begins."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import Generic, TypeVar

from google.protobuf.message import Message

from tenantmesh.chassis.opaque import pack, unpack
from tenantmesh.chassis.requests import id_problem, refuse
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument

__all__ = ["LARGEST_PAGE", "PAGE_BYTES", "Page", "PageTokens", "id_in", "id_tokens", "page_size", "uuid_tokens"]

PAGE_BYTES = 2 * 1024 * 1024
"""The size of a page's items as messages. gRPC's clients accept messages of 4 MiB, and JSON at the edge is larger."""
LARGEST_PAGE = 1000
_DEFAULT = 50
_UUID = 16

_Item = TypeVar("_Item")
_Message = TypeVar("_Message", bound=Message)
_Place = TypeVar("_Place")


def page_size(asked: int, default: int = _DEFAULT) -> int:
    """Return the size of a page: the default if the request asks for none, 1,000 at most. Raises InvalidArgument below
    zero."""
    refuse({"page_size": "must not be negative" if asked < 0 else None})
    return min(asked or default, LARGEST_PAGE)


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """Some items of a list, and the token of the next page; empty on the last page.

    token_after: returns the token of the page that begins after an item.
    """

    items: list[_Item]
    next_token: str
    token_after: Callable[[_Item], str]

    def as_messages(self, to_message: Callable[[_Item], _Message]) -> tuple[list[_Message], str]:
        """Return the items as messages, as many as fit into an answer, and the token of the page after them.

        A page holds fewer items than it was asked for where they would be too large (AIP-158), but always one.
        """
        messages: list[_Message] = []
        room = PAGE_BYTES
        for item in self.items:
            message = to_message(item)
            room -= message.ByteSize()
            if messages and room < 0:
                return messages, self.token_after(self.items[len(messages) - 1])
            messages.append(message)
        return messages, self.next_token


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
            problem = (
                "must be the next_page_token of the page before, unchanged, with the same tenant, filter and order"
            )
            raise InvalidArgument.fields([FieldViolation("page_token", problem)]) from error

    def page(self, found: list[_Item], size: int, place_of: Callable[[_Item], _Place]) -> Page[_Item]:
        """Return the page of that size. `found` holds one item more than the page if another page follows."""

        def token_after(item: _Item) -> str:
            return self.token(place_of(item))

        more = len(found) > size
        return Page(found[:size], token_after(found[size - 1]) if more else "", token_after)


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
