"""Opaque strings that callers keep and send back, such as page tokens and cursors.

A sealed string says what it was made for and carries a checksum, so that one made for something else, cut short or
typed by hand is told from a good one. It protects nothing: what is inside must be harmless to whoever forges it.
"""

from __future__ import annotations

import base64
import binascii
from hashlib import blake2s

__all__ = ["pack", "unpack"]

_CHECKSUM = 6
_MAX_SEALED = 256


def pack(purpose: bytes, payload: bytes) -> str:
    """The payload as an opaque string. The purpose is at most 8 bytes."""
    checksum = blake2s(payload, digest_size=_CHECKSUM, person=purpose).digest()
    return base64.urlsafe_b64encode(checksum + payload).rstrip(b"=").decode()


def unpack(purpose: bytes, text: str) -> bytes:
    """What was sealed for the purpose. Raises ValueError for anything else, and for a second spelling of the same."""
    if len(text) > _MAX_SEALED or not text.isascii():
        raise ValueError("not one of ours")
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not one of ours") from error
    payload = sealed[_CHECKSUM:]
    if pack(purpose, payload) != text:
        raise ValueError("made for something else")
    return payload
