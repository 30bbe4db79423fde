"""Opaque strings that callers keep and send back: where a page or a stream goes on.

A sealed string says what it was made for and carries a checksum, so that one made for something else, cut short or
typed by hand is told from a good one. It protects nothing: what is inside must be harmless to whoever forges it.
"""

from __future__ import annotations

import base64
import binascii
import struct
import uuid
from dataclasses import dataclass
from hashlib import blake2s

__all__ = ["SnapshotCursor", "StreamCursor", "open_page_token", "open_stream_cursor", "page_token", "stream_cursor"]

_CHECKSUM = 6
_MAX_SEALED = 128
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
    return _seal(_PAGE, after.bytes)


def open_page_token(token: str) -> uuid.UUID:
    """The tenant after which the page begins. Raises ValueError for what `page_token` did not make."""
    return uuid.UUID(bytes=_unseal(_PAGE, token, 16))


def stream_cursor(cursor: StreamCursor | SnapshotCursor) -> str:
    """The cursor as callers see it."""
    position = _POSITION.pack(cursor.position)
    if isinstance(cursor, SnapshotCursor):
        return _seal(_SNAPSHOT, position + cursor.after.bytes)
    return _seal(_STREAM, position)


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


def _seal(purpose: bytes, payload: bytes) -> str:
    checksum = blake2s(payload, digest_size=_CHECKSUM, person=purpose).digest()
    return base64.urlsafe_b64encode(checksum + payload).rstrip(b"=").decode()


def _unseal(purpose: bytes, text: str, size: int) -> bytes:
    if len(text) > _MAX_SEALED or not text.isascii():
        raise ValueError("not one of ours")
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not one of ours") from error
    payload = sealed[_CHECKSUM:]
    if len(payload) != size or _seal(purpose, payload) != text:  # also refuses a second spelling of the same bytes
        raise ValueError("made for something else")
    return payload
