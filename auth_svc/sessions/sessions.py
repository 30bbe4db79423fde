"""Signing in and staying signed in. The rules of a session are in `session`; passwords and tokens live elsewhere."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from tenantmesh.auth_svc.accounts.accounts import Credentials, User
from tenantmesh.auth_svc.accounts.emails import EmailRefused, parse_email
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import normalise
from tenantmesh.auth_svc.sessions.attempts import LoginAttempts
from tenantmesh.auth_svc.sessions.refresh_tokens import RefreshToken, RefreshTokens
from tenantmesh.auth_svc.sessions.session import Limits, Session
from tenantmesh.auth_svc.tokens.tokens import AccessTokens, Subject
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument, PermissionDenied, Unauthenticated
from tenantmesh.interceptors.tenants import TenantId, TenantRecord, refuse_unless_active
from tenantmesh.runtime.encryption import KeyEncryptionKey
from tenantmesh.runtime.ids import uuid7

__all__ = ["CredentialStore", "HeldSession", "SessionStore", "Sessions", "SignedIn", "Tenants", "Tokens"]

_log = structlog.get_logger()

MAX_SENT_PASSWORD = 1024
"""Characters: far above what any password can have, so that nobody has megabytes normalised."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens."""

    access: str
    refresh: str

    def __repr__(self) -> str:
        return "Tokens(…)"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What signing in yields."""

    user: User
    tokens: Tokens


class CredentialStore(Protocol):
    """Knows users by address."""

    async def credentials(self, tenant_id: TenantId, email_normalised: str) -> Credentials | None:
        """Must return the user with this address, or None, at the same cost. Raises Unavailable."""
        ...

    async def replace_hash(self, credentials: Credentials, password_hash: str) -> None:
        """Must store the hash unless the password was changed meanwhile. Raises Unavailable."""
        ...


class HeldSession(Protocol):
    """A session that nobody else can read to change it, until it is let go."""

    session: Session
    user: User

    async def save(self, session: Session) -> None:
        """Must store what changed when the hold ends without an error. Raises Unavailable."""
        ...


class SessionStore(Protocol):
    """Keeps sessions."""

    async def add(self, session: Session) -> None:
        """Must store the session, and may forget the same user's that are over. Raises Unavailable."""
        ...

    def hold(self, tenant_id: TenantId, session_id: uuid.UUID) -> AbstractAsyncContextManager[HeldSession | None]:
        """Must give the session to one caller at a time, None when there is no such session. Raises Unavailable."""
        ...


class Tenants(Protocol):
    """Knows tenants; the directory does."""

    async def find(self, key: TenantId) -> TenantRecord | None:
        """Must return the tenant or None. Raises Unavailable."""
        ...


class Sessions:
    """The use cases of sessions."""

    def __init__(
        self,
        *,
        users: CredentialStore,
        sessions: SessionStore,
        tenants: Tenants,
        hashing: Hashing,
        attempts: LoginAttempts,
        access: AccessTokens,
        refresh: RefreshTokens,
        kek: KeyEncryptionKey,
        limits: Limits,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._users = users
        self._sessions = sessions
        self._tenants = tenants
        self._hashing = hashing
        self._attempts = attempts
        self._access = access
        self._refresh = refresh
        self._kek = kek
        self._limits = limits
        self._clock = clock

    async def login(self, tenant_id: TenantId, email: str, password: str) -> SignedIn:
        """Begins a session. An unknown address and a wrong password are told apart by nothing.

        Raises Unauthenticated `INVALID_CREDENTIALS`, InvalidArgument, ResourceExhausted, Unavailable.
        """
        address = _checked(email, password)
        await self._attempts.reserve(tenant_id, address)
        found = await self._users.credentials(tenant_id, address)
        normalised = normalise(password)
        verdict = await self._hashing.verify(normalised, found.password_hash if found else None)
        if found is None or not verdict.matches:
            raise Unauthenticated(
                "INVALID_CREDENTIALS",
                "The address or the password is wrong. Check both, and the tenant, and try again.",
            )
        if verdict.outdated:
            await self._users.replace_hash(found, await self._hashing.hash(normalised))
        return await self._begin(found.user)

    async def refresh(self, text: str, named: TenantRecord | None) -> Tokens:
        """Exchanges a refresh token. `named` is the tenant that the call names besides, if any; it may only agree.

        Raises Unauthenticated `SESSION_ENDED`, PermissionDenied, Unavailable.
        """
        token = self._refresh.recognise(text)
        if token is None:
            raise _ended()
        await self._admit(token.tenant_id, named)
        async with self._sessions.hold(token.tenant_id, token.session_id) as held:
            successor = await self._exchange(held, token) if held is not None else None
        # Outside of the hold: ending the session must be stored, not rolled back by the refusal.
        if held is None or successor is None:
            raise _ended()
        return Tokens(self._access.issue(_subject(held.user, token.session_id)), successor)

    async def _begin(self, user: User) -> SignedIn:
        now = self._clock()
        token = self._refresh.issue(user.tenant_id, uuid7())
        session = Session(
            id=token.session_id,
            tenant_id=user.tenant_id,
            user_id=user.id,
            digest=token.digest,
            begin_time=now,
            use_time=now,
            expire_time=now + self._limits.absolute,
        )
        await self._sessions.add(session)
        return SignedIn(user, Tokens(self._access.issue(_subject(user, session.id)), token.text))

    async def _admit(self, tenant_id: TenantId, named: TenantRecord | None) -> None:
        """The state gates, for a call whose tenant only the refresh token names."""
        if named is not None and named.id != tenant_id:
            raise PermissionDenied(
                "TENANT_MISMATCH",
                "The refresh token belongs to another tenant than the call names. Name its own, or none.",
            )
        refuse_unless_active(named or await self._tenants.find(tenant_id))

    async def _exchange(self, held: HeldSession, token: RefreshToken) -> str | None:
        """The successor, or None when the session has ended, by now if not before."""
        session, now = held.session, self._clock()
        if session.has_ended(now, self._limits):
            return None
        if session.is_current(token.digest):
            successor = self._refresh.issue(session.tenant_id, session.id)
            sealed = self._kek.seal(successor.text.encode(), *_seal_context(session))
            await held.save(session.rotated(successor.digest, sealed, now, self._limits))
            return successor.text
        if (spent := session.in_grace(token.digest, now, self._limits)) is not None:
            return self._kek.open(spent.sealed_successor, *_seal_context(session)).decode()
        await held.save(session.revoked("reuse", now))
        _log.warning(
            "a refresh token was used again: its session is revoked",
            security=True,
            tenant_id=str(session.tenant_id),
            session_id=str(session.id),
            user_id=str(session.user_id),
        )
        return None


def _checked(email: str, password: str) -> str:
    """The normalised address. Raises InvalidArgument naming everything that can't be credentials of anybody."""
    broken: list[FieldViolation] = []
    normalised = ""
    try:
        normalised = parse_email(email).normalised
    except EmailRefused as refused:
        broken.append(FieldViolation("email", str(refused)))
    if not password:
        broken.append(FieldViolation("password", "is required"))
    elif len(password) > MAX_SENT_PASSWORD:
        broken.append(FieldViolation("password", f"must have at most {MAX_SENT_PASSWORD} characters"))
    if broken:
        raise InvalidArgument.fields(broken)
    return normalised


def _subject(user: User, session_id: uuid.UUID) -> Subject:
    return Subject(user.id, user.tenant_id, session_id, user.epoch, user.roles)


def _seal_context(session: Session) -> tuple[str, ...]:
    return ("refresh-successor", str(session.tenant_id), str(session.id))


def _ended() -> Unauthenticated:
    return Unauthenticated("SESSION_ENDED", "The session has ended or the refresh token is not valid. Sign in again.")
