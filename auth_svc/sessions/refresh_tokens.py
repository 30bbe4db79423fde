"""The refresh token as a string. What it is worth is decided by the session it belongs to."""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["PREFIX", "RefreshToken", "RefreshTokens"]

PREFIX = "tmr_"

_FORM = re.compile(r"tmr_([0-9a-f]{32})\.([0-9a-f]{32})\.([A-Za-z0-9_-]{64})", re.ASCII)
_SECRET_BYTES = 32
_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A token that this service issued at some time."""

    tenant_id: TenantId
    session_id: uuid.UUID
    text: str

    @property
    def digest(self) -> bytes:
        """What is stored of it: SHA-256 of the whole text. 256 random bits need no slower hash."""
        return sha256(self.text.encode()).digest()

    def __repr__(self) -> str:
        return f"RefreshToken(tenant_id={self.tenant_id}, session_id={self.session_id})"


class RefreshTokens:
    """Makes and recognises `tmr_<tenant>.<session>.<256 random bits and their tag>`.

    The tag is a MAC under a key of this service. A session's id is no secret (it is in every access token), so without
    the tag anybody could send an invented token for it, which would look like the reuse of an old one and end the
    session.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, tenant_id: TenantId, session_id: uuid.UUID) -> RefreshToken:
        """A new token."""
        secret = secrets.token_bytes(_SECRET_BYTES)
        tagged = urlsafe_b64encode(secret + self._tag(tenant_id, session_id, secret)).decode("ascii")
        return RefreshToken(tenant_id, session_id, f"{PREFIX}{tenant_id.hex}.{session_id.hex}.{tagged}")

    def recognise(self, text: str) -> RefreshToken | None:
        """The token, or None for a text that this service never issued."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        tenant_id, session_id = TenantId(uuid.UUID(form[1])), uuid.UUID(form[2])
        tagged = urlsafe_b64decode(form[3])
        secret, tag = tagged[:_SECRET_BYTES], tagged[_SECRET_BYTES:]
        if not hmac.compare_digest(tag, self._tag(tenant_id, session_id, secret)):
            return None
        return RefreshToken(tenant_id, session_id, text)

    def _tag(self, tenant_id: uuid.UUID, session_id: uuid.UUID, secret: bytes) -> bytes:
        return hmac.digest(self._key, tenant_id.bytes + session_id.bytes + secret, "sha256")[:_TAG_BYTES]
