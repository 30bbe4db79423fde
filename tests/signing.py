"""One signing key, without a database."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class OneKey:
    """As Signer: always the same key."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def signer(self) -> tuple[str, Ed25519PrivateKey]:
        return "the-key", self._key
