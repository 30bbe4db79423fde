"""The text of a cursor: the opaque string that callers keep and send back, and the position in it."""

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
    """A place in the event log: everything up to this position has been sent."""

    position: int


@dataclass(frozen=True, slots=True)
class SnapshotCursor:
    """A place in a snapshot as of a position: everything up to and including the subject `after` has been sent."""

    position: int
    after: uuid.UUID


@dataclass(frozen=True, slots=True)
class Cursors:
    """The cursors of one log. `stream` and `snapshot` are the purposes of its strings, at most 8 bytes each: a cursor
    of another log is refused."""

    stream: bytes
    snapshot: bytes

    def text(self, cursor: StreamCursor | SnapshotCursor) -> str:
        """Return the cursor as callers see it."""
        position = _POSITION.pack(cursor.position)
        if isinstance(cursor, SnapshotCursor):
            return pack(self.snapshot, position + cursor.after.bytes)
        return pack(self.stream, position)

    def open(self, text: str) -> StreamCursor | SnapshotCursor:
        """Return the cursor in the string. Raises ValueError for a string that `text` did not make."""
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
