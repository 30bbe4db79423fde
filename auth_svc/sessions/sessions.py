"""The use cases of sessions: begin, refresh, and check that one is live. The rules of a session are in `session`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tenantmesh.auth_svc.accounts.user import User
from tenantmesh.auth_svc.sessions import repository
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshToken, RefreshTokens
from tenantmesh.auth_svc.sessions.session import Session, SessionLifetimes
from tenantmesh.auth_svc.tokens.tokens import AccessTokens, TokenSubject
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors import security_event
from tenantmesh.interceptors.errors import PermissionDenied, Unauthenticated
from tenantmesh.interceptors.tenants import TenantId, TenantLookup, TenantRecord, refuse_unless_active
from tenantmesh.runtime.database import Connection
from tenantmesh.runtime.ids import uuid7

__all__ = ["Sessions", "SignedIn", "TokenPair"]


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token and a refresh token."""

    access: str
    refresh: str

    def __repr__(self) -> str:
        return "TokenPair(…)"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The user who has signed in, and the tokens of the new session."""

    user: User
    tokens: TokenPair


class Sessions:
    """The use cases. All raise Unavailable when the database can't be reached."""

    def __init__(
        self,
        doors: Doors,
        tenants: TenantLookup,
        access: AccessTokens,
        refresh: RefreshTokens,
        lifetimes: SessionLifetimes,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._doors = doors
        self._tenants = tenants
        self._access = access
        self._refresh = refresh
        self._lifetimes = lifetimes
        self._clock = clock

    async def begin(self, user: User) -> SignedIn:
        """Begin a session of a user who has proved to be one. The user's ended sessions are deleted.

        So the number of rows grows with the number of people, and not with time.
        """
        now = self._clock()
        token = self._refresh.issue(user.tenant_id, uuid7())
        session = Session(
            id=token.session_id,
            tenant_id=user.tenant_id,
            user_id=user.id,
            digest=token.digest,
            begin_time=now,
            use_time=now,
            expire_time=now + self._lifetimes.absolute,
        )
        async with self._doors.tenant(user.tenant_id) as connection:
            await repository.delete_ended(connection, user, now, now - self._lifetimes.idle)
            await repository.add(connection, session)
        return SignedIn(user, TokenPair(self._access.issue(_subject(user, session.id)), token.text))

    async def refresh(self, text: str, named: TenantRecord | None) -> TokenPair:
        """Exchange a refresh token for the next pair. `named` is the tenant that the call names besides, or None.

        Raises Unauthenticated `SESSION_ENDED`; PermissionDenied for another tenant's token, and for a suspended tenant;
        NotFound for a deleted tenant.
        """
        token = self._refresh.recognise(text)
        if token is None:
            raise _ended()
        await self._require_tenant(token.tenant_id, named)
        async with self._doors.tenant(token.tenant_id) as connection:
            exchanged = await self._exchange(connection, token)
        # Refuse after the transaction: an error inside it would roll back the revocation of the session.
        if exchanged is None:
            raise _ended()
        user, active = exchanged
        return TokenPair(self._access.issue(_subject(user, token.session_id)), active)

    async def is_live(self, tenant_id: TenantId, session_id: uuid.UUID) -> bool:
        """Return whether the session exists and has not ended."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            session = await repository.by_id(connection, tenant_id, session_id)
        return session is not None and not session.has_ended(self._clock(), self._lifetimes)

    async def _require_tenant(self, tenant_id: TenantId, named: TenantRecord | None) -> None:
        """Refuse what the chain can't: it knows no tenant where only the refresh token names one."""
        if named is not None and named.id != tenant_id:
            raise PermissionDenied(
                "TENANT_MISMATCH",
                "The refresh token belongs to another tenant than the call names. Name its own, or none.",
            )
        refuse_unless_active(named or await self._tenants.find(tenant_id))

    async def _exchange(self, connection: Connection, token: RefreshToken) -> tuple[User, str] | None:
        """Return the user and the token to go on with, or None when the session has ended."""
        held = await repository.hold(connection, token.tenant_id, token.session_id)
        if held is None:
            return None
        session, user = held
        active = await self._active(connection, session, token)
        return None if active is None else (user, active)

    async def _active(self, connection: Connection, session: Session, token: RefreshToken) -> str | None:
        """Return the token that is active after this use, or None when the session has ended.

        The current token is exchanged for a new one. A spent token in its grace yields the current token, however many
        exchanges came between: its own successor may be spent, and would end the session when its grace is over.
        Reuse of a token after its grace ends the session.
        """
        now = self._clock()
        if session.has_ended(now, self._lifetimes):
            return None
        if session.is_current(token.digest):
            successor = self._refresh.issue(session.tenant_id, session.id)
            sealed = self._refresh.seal(successor)
            await repository.save(connection, session.rotated(successor.digest, sealed, now, self._lifetimes))
            return successor.text
        if session.in_grace(token.digest, now, self._lifetimes):
            return self._refresh.unseal(session.sealed_current, token)
        await repository.save(connection, session.revoked("reuse", now))
        security_event(
            "a refresh token was used again: its session is revoked",
            tenant_id=str(session.tenant_id),
            session_id=str(session.id),
            user_id=str(session.user_id),
        )
        return None


def _subject(user: User, session_id: uuid.UUID) -> TokenSubject:
    return TokenSubject(user.id, user.tenant_id, session_id, user.epoch, user.roles)


def _ended() -> Unauthenticated:
    return Unauthenticated("SESSION_ENDED", "The session has ended or the refresh token is not valid. Sign in again.")
