"""Refresh tokens as text. The session of a token decides whether the token is valid."""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.encryption import KeyEncryptionKey

__all__ = ["RefreshToken", "RefreshTokens"]

PREFIX = "tmr_"

_FORM = re.compile(r"tmr_([0-9a-f]{32})\.([0-9a-f]{32})\.([A-Za-z0-9_-]{64})", re.ASCII)
_SECRET_BYTES = 32
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token that this service has issued, now or long ago."""

    tenant_id: TenantId
    session_id: uuid.UUID
    text: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text, which is stored in its place. The text has 256 random bits, so a fast hash is enough."""
        return sha256(self.text.encode()).digest()

    def __repr__(self) -> str:
        return f"RefreshToken(tenant_id={self.tenant_id}, session_id={self.session_id})"


class RefreshTokens:
    """Issues and recognises `tmr_<tenant>.<session>.<256 random bits and their tag>`.

    The tag is a MAC under a key of this service. A session's id is no secret: it is in every access token. Without the
    tag anybody could send an invented token for a session, which would look like the reuse of an old one and end it.
    """

    def __init__(self, kek: KeyEncryptionKey) -> None:
        self._kek = kek
        self._key = kek.derive("refresh-tokens")

    def issue(self, tenant_id: TenantId, session_id: uuid.UUID) -> RefreshToken:
        """Return a new token."""
        secret = secrets.token_bytes(_SECRET_BYTES)
        tagged = urlsafe_b64encode(secret + self._tag(tenant_id, session_id, secret)).decode("ascii")
        return RefreshToken(tenant_id, session_id, f"{PREFIX}{tenant_id.hex}.{session_id.hex}.{tagged}")

    def recognise(self, text: str) -> RefreshToken | None:
        """Return the token, or None for a text that this service has never issued."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        tenant_id, session_id = TenantId(uuid.UUID(form[1])), uuid.UUID(form[2])
        tagged = urlsafe_b64decode(form[3])
        secret, tag = tagged[:_SECRET_BYTES], tagged[_SECRET_BYTES:]
        if not hmac.compare_digest(tag, self._tag(tenant_id, session_id, secret)):
            return None
        return RefreshToken(tenant_id, session_id, text)

    def seal(self, token: RefreshToken) -> bytes:
        """Encrypt the token, for its own session only."""
        return self._kek.seal(token.text.encode(), *_seal_context(token))

    def unseal(self, sealed: bytes, spent: RefreshToken) -> str:
        """Return the text of the sealed token of the same session. Raises SealBroken."""
        return self._kek.open(sealed, *_seal_context(spent)).decode()

    def _tag(self, tenant_id: uuid.UUID, session_id: uuid.UUID, secret: bytes) -> bytes:
        return hmac.digest(self._key, tenant_id.bytes + session_id.bytes + secret, "sha256")[:_TAG_BYTES]


def _seal_context(token: RefreshToken) -> tuple[str, ...]:
    return ("refresh-successor", str(token.tenant_id), str(token.session_id))
