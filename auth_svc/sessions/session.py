"""A session and the rules of its refresh tokens, as pure functions of the session and the time."""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["Limits", "Session", "Spent"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lives."""

    idle: timedelta = timedelta(days=7)
    """Without being refreshed."""
    absolute: timedelta = timedelta(days=30)
    """However much it is used."""
    grace: timedelta = timedelta(seconds=10)
    """For how long a used token still yields its successor: an answer may be lost, or asked for twice in parallel."""


@dataclass(frozen=True, slots=True)
class Spent:
    """A refresh token that was used a moment ago."""

    digest: bytes
    use_time: datetime
    sealed_successor: bytes
    """The token it was exchanged for, encrypted."""


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in of one user on one device, and its chain of refresh tokens."""

    id: uuid.UUID
    tenant_id: TenantId
    user_id: uuid.UUID
    digest: bytes
    """SHA-256 of the refresh token that is valid now."""
    begin_time: datetime
    use_time: datetime
    expire_time: datetime
    spent: tuple[Spent, ...] = ()
    """Tokens still in their grace, oldest first."""
    revoke_time: datetime | None = None
    revoke_reason: str | None = None

    def has_ended(self, now: datetime, limits: Limits) -> bool:
        """Whether the session is revoked, idle for too long, or over."""
        return self.revoke_time is not None or now >= self.expire_time or now >= self.use_time + limits.idle

    def is_current(self, digest: bytes) -> bool:
        """Whether this is the token that is valid now."""
        return hmac.compare_digest(digest, self.digest)

    def in_grace(self, digest: bytes, now: datetime, limits: Limits) -> Spent | None:
        """The token that was used a moment ago, if this is one."""
        for spent in self.spent:
            if hmac.compare_digest(digest, spent.digest) and now < spent.use_time + limits.grace:
                return spent
        return None

    def rotated(self, successor: bytes, sealed_successor: bytes, now: datetime, limits: Limits) -> Session:
        """The session after its token was exchanged for the successor with this digest."""
        recent = tuple(spent for spent in self.spent if now < spent.use_time + limits.grace)
        return replace(self, digest=successor, use_time=now, spent=(*recent, Spent(self.digest, now, sealed_successor)))

    def revoked(self, reason: str, now: datetime) -> Session:
        """The session, ended. Nothing that could still be exchanged is kept."""
        return replace(self, spent=(), revoke_time=now, revoke_reason=reason)
