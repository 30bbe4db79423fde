"""Issues access tokens, and introspects credentials. The keys are in `signing_keys`."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import jwt

from tenantmesh.chassis.signing.signing_key import Signer
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.credentials import API_KEY_PREFIX, ApiKeyVerifier, UnknownKey
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.interceptors.tokens import ALGORITHM, MAX_LIFETIME, TOKEN_TYPE, AccessClaims, JwtVerifier

__all__ = ["LIFETIME", "AccessTokens", "Discovery", "Introspection", "LiveSessions", "TokenSubject"]

LIFETIME = timedelta(seconds=MAX_LIFETIME)


@dataclass(frozen=True, slots=True)
class TokenSubject:
    """The user and the session that an access token speaks for."""

    user_id: uuid.UUID
    tenant_id: TenantId
    session_id: uuid.UUID
    epoch: int
    roles: tuple[str, ...]


class AccessTokens:
    """Issues access tokens of 300 s: with a `client_id` they are those of RFC 9068.

    client_id: the client that sign-in through AuthService stands for. Empty leaves the claim out.
    """

    def __init__(
        self, issuer: str, audience: str, client_id: str, keys: Signer, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._client_id = client_id
        self._keys = keys
        self._clock = clock

    def issue(self, subject: TokenSubject) -> str:
        """Return a signed token. Raises Unavailable while no signing key is active."""
        kid, key = self._keys.signer()
        now = int(self._clock())
        claims = AccessClaims(
            issuer=self._issuer,
            audience=self._audience,
            subject=str(subject.user_id),
            tenant_id=subject.tenant_id,
            session_id=str(subject.session_id),
            token_id=secrets.token_urlsafe(16),
            issued_at=now,
            expires_at=now + MAX_LIFETIME,
            epoch=subject.epoch,
            roles=subject.roles,
            client_id=self._client_id,
        )
        return jwt.encode(claims.payload(), key, algorithm=ALGORITHM, headers={"kid": kid, "typ": TOKEN_TYPE})


@dataclass(frozen=True, slots=True)
class Discovery:
    """The addresses of the discovery document, all under the issuer.

    It names what a standard client can use. An endpoint of OAuth belongs here once it takes forms (RFC 6749, RFC 7662).
    """

    issuer: str

    @property
    def jwks_uri(self) -> str:
        """The address of the public keys."""
        return f"{self.issuer}/.well-known/jwks.json"


class LiveSessions(Protocol):
    """Knows which sessions are live: the sessions of this service."""

    async def is_live(self, tenant_id: TenantId, session_id: uuid.UUID) -> bool:
        """Must return whether the session exists and has not ended. Raises Unavailable."""
        ...


class Introspection:
    """Returns the caller of a credential. It also refuses a token whose session has ended, which no signature shows."""

    def __init__(self, tokens: JwtVerifier, api_keys: ApiKeyVerifier, sessions: LiveSessions) -> None:
        self._tokens = tokens
        self._api_keys = api_keys
        self._sessions = sessions

    async def inspect(self, credential: str) -> Caller | None:
        """Return the caller, or None when the credential is not valid now. Raises Unavailable."""
        if credential.startswith(API_KEY_PREFIX):
            return await self._api_keys.verify(credential)
        try:
            caller = await self._verified(credential)
            session_id = uuid.UUID(caller.session_id or "")
        except (Unauthenticated, UnknownKey, ValueError):
            return None
        if caller.tenant_id is None or not await self._sessions.is_live(caller.tenant_id, session_id):
            return None
        return caller

    async def _verified(self, token: str) -> Caller:
        try:
            return self._tokens.verify(token)
        except UnknownKey as unknown:
            await self._tokens.keys.refresh(unknown.kid)
            return self._tokens.verify(token)
