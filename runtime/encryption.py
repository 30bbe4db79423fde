"""Encrypts small secrets at rest under the key-encryption key (KEK). The callers decide which secrets those are."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import stat
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["KekRefused", "KeyEncryptionKey", "SealBroken", "read_kek"]

_KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"
_FINGERPRINT_BYTES = 4


class KekRefused(Exception):
    """The file of the KEK can't be used. The message says what to do."""


class SealBroken(Exception):
    """The sealed bytes were changed, or sealed for another context, or under another KEK."""


class KeyEncryptionKey:
    """Seals small secrets with AES-256-GCM.

    A seal is bound to a context, such as `("signing-key", kid)`. The context is authenticated and has a key of its own:
    a value that is copied to another row does not open, and each key seals only a few values. The sealed bytes are
    version, fingerprint of the KEK, nonce, and ciphertext.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise KekRefused(f"the key-encryption key must have {_KEY_BYTES} bytes")
        self._key = key
        self._fingerprint = sha256(b"tenantmesh kek fingerprint\0" + key).digest()[:_FINGERPRINT_BYTES]

    def seal(self, secret: bytes, *context: str) -> bytes:
        """Return the secret encrypted. It opens only with this KEK and the same context."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.derive(*context)).encrypt(nonce, secret, _encoded(context))
        return _VERSION + self._fingerprint + nonce + sealed

    def open(self, sealed: bytes, *context: str) -> bytes:
        """Return the secret. Raises SealBroken."""
        head = len(_VERSION) + _FINGERPRINT_BYTES
        if not hmac.compare_digest(sealed[:head], _VERSION + self._fingerprint):
            raise SealBroken("sealed under another key-encryption key; start with the key file it was sealed with")
        nonce, body = sealed[head : head + _NONCE_BYTES], sealed[head + _NONCE_BYTES :]
        try:
            return AESGCM(self.derive(*context)).decrypt(nonce, body, _encoded(context))
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the sealed value was changed or belongs elsewhere") from error

    def derive(self, *context: str) -> bytes:
        """Return a 256-bit key for the context, from which the KEK can't be derived."""
        return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_encoded(context)).derive(self._key)


def read_kek(path: Path, variable: str) -> KeyEncryptionKey:
    """Return the KEK in the file: 32 random bytes in base64, readable by its owner alone. Raises KekRefused.

    variable: the setting that names the file, for people.
    """
    remedy = f"Make one with: (umask 077; head -c 32 /dev/urandom | base64 > {path}), keep a copy, and lose neither."
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise KekRefused(f"{variable} names {path}, which does not exist. {remedy}") from error
    except (OSError, UnicodeError) as error:
        raise KekRefused(f"{variable} names {path}, which can't be read as text.") from error
    if stat.S_IMODE(mode) & 0o077:
        raise KekRefused(f"{path} is open to others (mode {stat.S_IMODE(mode):04o}). Close it with: chmod 600 {path}")
    try:
        return KeyEncryptionKey(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, KekRefused) as error:
        raise KekRefused(f"{path} does not hold {_KEY_BYTES} bytes in base64. {remedy}") from error


def _encoded(context: tuple[str, ...]) -> bytes:
    """Return the parts with their lengths before them, so that two contexts never encode to the same bytes."""
    parts = [part.encode() for part in context]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
