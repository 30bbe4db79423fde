"""Opaque strings that callers keep and send back, such as page tokens and cursors.

A packed string carries a checksum of its payload and its purpose. `unpack` therefore refuses a string of another
purpose, one that was cut short, and one that was typed by hand. Anyone can forge a string, so a payload must grant
nothing.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2s

__all__ = ["pack", "unpack"]

_CHECKSUM = 6
_MAX_LENGTH = 4096


def pack(purpose: bytes, payload: bytes, scope: bytes = b"") -> str:
    """Return the payload as an opaque string. The purpose is at most 8 bytes, the scope within it at most 32."""
    checksum = blake2s(payload, digest_size=_CHECKSUM, person=purpose, key=scope).digest()
    return base64.urlsafe_b64encode(checksum + payload).rstrip(b"=").decode()


def unpack(purpose: bytes, text: str, scope: bytes = b"") -> bytes:
    """Return the payload of a string that `pack` made for this purpose and scope. Raises ValueError for every other
    string."""
    if len(text) > _MAX_LENGTH or not text.isascii():
        raise ValueError("not one of ours")
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not one of ours") from error
    payload = packed[_CHECKSUM:]
    if pack(purpose, payload, scope) != text:
        raise ValueError("made for something else")
    return payload
