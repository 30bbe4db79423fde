"""Where a stream goes on, as the opaque strings that callers keep and send back."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass

from tenantmesh.chassis.opaque import pack, unpack

__all__ = ["Cursors", "SnapshotCursor", "StreamCursor"]

_POSITION = struct.Struct(">Q")
_MAX_POSITION = 2**63 - 1
_UUID = 16


@dataclass(frozen=True, slots=True)
class StreamCursor:
    """Everything up to this position of the event log has been sent."""

    position: int


@dataclass(frozen=True, slots=True)
class SnapshotCursor:
    """A snapshot as of a position, sent up to and including this subject."""

    position: int
    after: uuid.UUID


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one log. `stream` and `snapshot` say what a string was made for, in at most 8 bytes each, so that
    another log's cursor is refused."""

    stream: bytes
    snapshot: bytes

    def text(self, cursor: StreamCursor | SnapshotCursor) -> str:
        """The cursor as callers see it."""
        position = _POSITION.pack(cursor.position)
        if isinstance(cursor, SnapshotCursor):
            return pack(self.snapshot, position + cursor.after.bytes)
        return pack(self.stream, position)

    def open(self, text: str) -> StreamCursor | SnapshotCursor:
        """The cursor in the text. Raises ValueError for what `text` did not make."""
        try:
            return StreamCursor(_position(_sized(unpack(self.stream, text), _POSITION.size)))
        except ValueError:
            payload = _sized(unpack(self.snapshot, text), _POSITION.size + _UUID)
        return SnapshotCursor(_position(payload[: _POSITION.size]), uuid.UUID(bytes=payload[_POSITION.size :]))


def _sized(payload: bytes, size: int) -> bytes:
    if len(payload) != size:
        raise ValueError("made for something else")
    return payload


def _position(packed: bytes) -> int:
    (position,) = _POSITION.unpack(packed)
    if position > _MAX_POSITION:
        raise ValueError("position out of range")
    return int(position)
