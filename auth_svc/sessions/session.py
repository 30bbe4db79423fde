"""A session and the rules of its refresh tokens, as pure functions of the session and the time."""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["Session", "SessionLifetimes", "SpentToken"]


@dataclass(frozen=True, slots=True)
class SessionLifetimes:
    """How long sessions and used refresh tokens live."""

    idle: timedelta = timedelta(days=7)
    """A session ends after this time without a refresh."""
    absolute: timedelta = timedelta(days=30)
    """A session ends after this time, however much it is used."""
    grace: timedelta = timedelta(seconds=10)
    """A used token is still answered this long, because an answer may be lost, or requested twice in parallel."""


@dataclass(frozen=True, slots=True)
class SpentToken:
    """A refresh token that was exchanged, and is kept for its grace."""

    digest: bytes
    use_time: datetime
    sealed_successor: bytes
    """The token that it was exchanged for, encrypted. That of the newest spent token is the current one."""


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one user on one device, and its chain of refresh tokens."""

    id: uuid.UUID
    tenant_id: TenantId
    user_id: uuid.UUID
    digest: bytes
    """SHA-256 of the current refresh token."""
    begin_time: datetime
    use_time: datetime
    expire_time: datetime
    spent: tuple[SpentToken, ...] = ()
    """The token before the current one, and before it those that are in their grace; oldest first."""
    revoke_time: datetime | None = None
    revoke_reason: str | None = None

    def has_ended(self, now: datetime, lifetimes: SessionLifetimes) -> bool:
        """Return whether the session is revoked, idle for too long, or expired."""
        return self.revoke_time is not None or now >= self.expire_time or now >= self.use_time + lifetimes.idle

    def is_current(self, digest: bytes) -> bool:
        """Return whether this is the digest of the current token."""
        return hmac.compare_digest(digest, self.digest)

    @property
    def sealed_current(self) -> bytes:
        """The current token, encrypted. Only a session that has exchanged a token keeps it."""
        return self.spent[-1].sealed_successor

    def in_grace(self, digest: bytes, now: datetime, lifetimes: SessionLifetimes) -> bool:
        """Return whether this is the digest of a spent token that is still in its grace.

        The grace begins when the token is exchanged. Later exchanges and repeated uses do not extend it.
        """
        return any(
            hmac.compare_digest(digest, spent.digest) and now < spent.use_time + lifetimes.grace for spent in self.spent
        )

    def rotated(self, successor: bytes, sealed_successor: bytes, now: datetime, lifetimes: SessionLifetimes) -> Session:
        """Return the session after its current token was exchanged for the successor with this digest."""
        recent = tuple(spent for spent in self.spent if now < spent.use_time + lifetimes.grace)
        exchanged = SpentToken(self.digest, now, sealed_successor)
        return replace(self, digest=successor, use_time=now, spent=(*recent, exchanged))

    def revoked(self, reason: str, now: datetime) -> Session:
        """Return the session as revoked. It keeps no token in its grace, so nothing of it can be exchanged."""
        return replace(self, spent=(), revoke_time=now, revoke_reason=reason)
