"""Access tokens: their claims, and their verification against published keys (RFC 7519, RFC 8725, RFC 9068).

Signing lives in auth_svc. PyJWT checks the signature. What it would let pass is checked here: a second spelling of the
same token, a missing `exp`, any `typ`, claims of the wrong type, and a duplicate claim, of which the last would win.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tenantmesh.interceptors import base64url
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.credentials import UnknownKey
from tenantmesh.interceptors.errors import Unauthenticated
from tenantmesh.interceptors.public_keys import check_point
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id

__all__ = [
    "ALGORITHM",
    "MAX_LIFETIME",
    "TOKEN_TYPE",
    "AccessClaims",
    "JwtVerifier",
    "KeySet",
    "StaticKeySet",
]

ALGORITHM = "EdDSA"
TOKEN_TYPE = "at+jwt"
"""The media type of access tokens (RFC 9068)."""
MAX_LIFETIME = 300
"""The longest lifetime in seconds that is accepted: revocation relies on it."""
MAX_LENGTH = 4096
SEGMENTS = 3
"""The parts of a token: header, claims and signature."""
CLOCK_SKEW = 5
"""Seconds that clocks of the mesh may differ."""


class KeySet(Protocol):
    """Knows the public keys that sign access tokens."""

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """Must answer from memory; None for a key that is not there."""
        ...

    async def refresh(self, kid: str) -> None:
        """Must look for the key where keys are published, but not so often that unknown ids can flood that place. Must
        raise Unavailable when that place can't be reached."""
        ...


class StaticKeySet:
    """A fixed set of keys, for tests and for programs that have them. Raises ValueError for a key that anybody can sign
    for."""

    def __init__(self, keys: dict[str, Ed25519PublicKey]) -> None:
        for key in keys.values():
            check_point(key.public_bytes_raw())
        self.keys = keys

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """As `KeySet.get`."""
        return self.keys.get(kid)

    async def refresh(self, kid: str) -> None:
        """Do nothing: there is nowhere to look."""


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of an access token. The verifier and the signer share this class, so they can't disagree."""

    issuer: str
    audience: str
    subject: str
    """The user's UUID."""
    tenant_id: TenantId
    session_id: str
    token_id: str
    issued_at: int
    """Seconds since the epoch, as `expires_at`."""
    expires_at: int
    epoch: int = 0
    """The revocation epoch that the token belongs to."""
    roles: tuple[str, ...] = ()
    client_id: str = ""
    """The OAuth client that the token was issued to. Empty: the token has no such claim, as RFC 9068 would demand."""

    def payload(self) -> dict[str, Any]:
        """Return the claims under their registered names."""
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": self.subject,
            "tid": str(self.tenant_id),
            "sid": self.session_id,
            "jti": self.token_id,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "epoch": self.epoch,
            "roles": list(self.roles),
        }
        return {**claims, _CLIENT: self.client_id} if self.client_id else claims


_TEXT = ("iss", "aud", "sub", "tid", "sid", "jti")
_WHOLE = ("iat", "exp", "epoch")
_CLIENT = "client_id"
_NO_TEXT = frozenset({*_WHOLE, "roles"})
_CLAIMS = _NO_TEXT | frozenset(_TEXT)
_WITH_CLIENT = _CLAIMS | {_CLIENT}
"""Both are verified: issuers of before, and those that leave the claim out for verifiers of before, send the first."""


class JwtVerifier:
    """A TokenVerifier for one issuer and one audience. Costs about 150 µs a token; the chain remembers the outcome."""

    def __init__(self, issuer: str, audience: str, keys: KeySet, *, clock: Callable[[], float] = time.time) -> None:
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
        self._clock = clock

    def verify(self, token: str) -> Caller:
        """As `TokenVerifier.verify`."""
        claims = self.claims(token)
        return Caller(
            kind=CallerKind.USER,
            subject=claims.subject,
            tenant_id=claims.tenant_id,
            roles=claims.roles,
            credential_id=claims.token_id,
            session_id=claims.session_id,
            expires_at=claims.expires_at,
        )

    async def refresh(self, kid: str) -> None:
        """As `TokenVerifier.refresh`."""
        await self.keys.refresh(kid)

    def claims(self, token: str) -> AccessClaims:
        """Return the verified claims. Raises as `verify`."""
        if len(token) > MAX_LENGTH:
            raise _invalid("it is longer than any token of this mesh")
        segments = _segments(token)
        header = _object(segments[0])
        if set(header) != {"alg", "kid", "typ"} or header["alg"] != ALGORITHM or header["typ"] != TOKEN_TYPE:
            raise _invalid("it is not an access token of this mesh")
        if not isinstance(header["kid"], str):
            raise _invalid("it is not an access token of this mesh")
        self._verify(token, header["kid"])
        return self._checked(_object(segments[1]))

    def _verify(self, token: str, kid: str) -> None:
        key = self.keys.get(kid)
        if key is None:
            raise UnknownKey(kid)
        try:
            jwt.PyJWS().decode_complete(token, key, algorithms=[ALGORITHM])
        except jwt.InvalidTokenError as error:
            raise _invalid("its signature does not verify") from error

    def _checked(self, payload: dict[str, Any]) -> AccessClaims:
        if not _well_typed(payload):
            raise _invalid("its claims are not those of this mesh")
        tenant_id = parse_tenant_id(payload["tid"])
        if tenant_id is None:
            raise _invalid("its claims are not those of this mesh")
        if payload["iss"] != self.issuer or payload["aud"] != self.audience:
            raise Unauthenticated(
                "CREDENTIALS_INVALID",
                "The access token's issuer or audience does not match this service's settings. Sign in at this mesh, "
                "or correct the settings.",
            )
        now = self._clock()
        if payload["exp"] <= now - CLOCK_SKEW:
            raise Unauthenticated("CREDENTIALS_EXPIRED", "The access token has expired. Refresh it or sign in again.")
        if payload["iat"] > now + CLOCK_SKEW or payload["exp"] - payload["iat"] > MAX_LIFETIME:
            raise _invalid("its lifetime is not one that this mesh gives")
        return AccessClaims(
            issuer=payload["iss"],
            audience=payload["aud"],
            subject=payload["sub"],
            tenant_id=tenant_id,
            session_id=payload["sid"],
            token_id=payload["jti"],
            issued_at=payload["iat"],
            expires_at=payload["exp"],
            epoch=payload["epoch"],
            roles=tuple(payload["roles"]),
            client_id=payload.get(_CLIENT, ""),
        )


def _well_typed(payload: dict[str, Any]) -> bool:
    """Return whether there are exactly the claims of this mesh, each of its type."""
    names = set(payload)
    if names not in (_WITH_CLIENT, _CLAIMS):
        return False
    return (
        all(type(payload[name]) is str and payload[name] for name in names - _NO_TEXT)
        and all(type(payload[name]) is int and 0 <= payload[name] < 1 << 53 for name in _WHOLE)
        and type(payload["roles"]) is list
        and all(type(role) is str for role in payload["roles"])
        and _is_uuid(payload["sub"])
    )


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _segments(token: str) -> list[bytes]:
    """Return the token's parts. Each has one spelling: what forgets or refuses a token by its text meets all of it."""
    segments = token.split(".")
    if len(segments) != SEGMENTS:
        raise _invalid("it does not have three parts")
    try:
        return [base64url.decode(segment) for segment in segments]
    except ValueError as error:
        raise _invalid("it can't be decoded") from error


def _object(segment: bytes) -> dict[str, Any]:
    """Return a JSON object of the token. Duplicate members are refused: two readers could read two values."""
    try:
        decoded = json.loads(segment, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise _invalid("it can't be decoded") from error
    if not isinstance(decoded, dict):
        raise _invalid("it can't be decoded")
    return decoded


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _invalid(problem: str) -> Unauthenticated:
    return Unauthenticated("CREDENTIALS_INVALID", f"The access token is not valid: {problem}. Sign in again.")
