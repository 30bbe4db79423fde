"""Base64url as tokens and keys have it: without padding (RFC 7515), and one text for the same bytes."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

__all__ = ["decode", "encode"]


def encode(data: bytes) -> str:
    """Return the one text of these bytes."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Return the bytes of a text that `encode` made. Raises ValueError for every other spelling of them: with padding,
    with characters of no alphabet, or with other bits after the last byte, all of which Python would read."""
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("another spelling of these bytes")
    return data
