"""Where a page of tenants or a stream goes on, as the opaque strings that callers keep and send back."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from tenant_svc.sealing import seal, unseal

__all__ = ["SnapshotCursor", "StreamCursor", "open_page_token", "open_stream_cursor", "page_token", "stream_cursor"]

_PAGE, _STREAM, _SNAPSHOT = b"tm.list", b"tm.watch", b"tm.snap"  # what a string was made for; at most 8 bytes
_POSITION = struct.Struct(">Q")
_MAX_POSITION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StreamCursor:
    """Everything up to this position of the event log has been sent."""

    position: int


@dataclass(frozen=True, slots=True)
class SnapshotCursor:
    """A snapshot as of a position, sent up to and including this tenant."""

    position: int
    after: uuid.UUID


def page_token(after: uuid.UUID) -> str:
    """The token of the page that begins after this tenant."""
    return seal(_PAGE, after.bytes)


def open_page_token(token: str) -> uuid.UUID:
    """The tenant after which the page begins. Raises ValueError for what `page_token` did not make."""
    return uuid.UUID(bytes=_unseal(_PAGE, token, 16))


def stream_cursor(cursor: StreamCursor | SnapshotCursor) -> str:
    """The cursor as callers see it."""
    position = _POSITION.pack(cursor.position)
    if isinstance(cursor, SnapshotCursor):
        return seal(_SNAPSHOT, position + cursor.after.bytes)
    return seal(_STREAM, position)


def open_stream_cursor(text: str) -> StreamCursor | SnapshotCursor:
    """The cursor in the text. Raises ValueError for what `stream_cursor` did not make."""
    try:
        return StreamCursor(_position(_unseal(_STREAM, text, _POSITION.size)))
    except ValueError:
        payload = _unseal(_SNAPSHOT, text, _POSITION.size + 16)
    return SnapshotCursor(_position(payload[: _POSITION.size]), uuid.UUID(bytes=payload[_POSITION.size :]))


def _position(packed: bytes) -> int:
    (position,) = _POSITION.unpack(packed)
    if position > _MAX_POSITION:
        raise ValueError("position out of range")
    return int(position)


def _unseal(purpose: bytes, text: str, size: int) -> bytes:
    payload = unseal(purpose, text)
    if len(payload) != size:
        raise ValueError("made for something else")
    return payload
