"""Credentials that callers prove themselves with, and the ports that verify them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from tenantmesh.interceptors.caller import Caller, CallerKind, UsageScope

__all__ = ["API_KEY_PREFIX", "ApiKeyVerifier", "TokenVerifier", "UnknownKey", "parse_identities"]

API_KEY_PREFIX = "tmk_"
_METER, _GAUGE = "meter:", "gauge:"


class UnknownKey(Exception):
    """The token names a signing key that is not in memory; `refresh` may find it."""

    def __init__(self, kid: str) -> None:
        super().__init__("unknown signing key")
        self.kid = kid


class TokenVerifier(Protocol):
    """Verifies access tokens. Adapter: `tokens.JwtVerifier`."""

    def verify(self, token: str) -> Caller:
        """Must return the user that the token speaks for, from memory. Must raise Unauthenticated for a token that is
        not valid, and UnknownKey when its signing key must be fetched first."""
        ...

    async def refresh(self, kid: str) -> None:
        """Must look for the signing key where keys are published, but not so often that unknown ids can flood that
        place. Must raise Unavailable when that place can't be reached."""
        ...


class ApiKeyVerifier(Protocol):
    """Verifies API keys. auth_svc reads its database; every other process asks auth_svc."""

    async def verify(self, key: str) -> Caller | None:
        """Must return None for a key that is not valid now, and raise Unavailable when that can't be found out."""
        ...


def parse_identities(text: str) -> dict[str, Caller]:
    """Parse services by the SPIFFE identity in their client certificate: `spiffe://mesh/billing=tenants.read
    quota.lease meter:notes`, separated by semicolons, each with the permissions granted to it.

    `meter:` and `gauge:` name the features whose usage it may count. Without any of a kind it may count all of them.
    Raises ValueError that says what is wrong.
    """
    callers = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        identity, equals, permissions = entry.partition("=")
        if not identity.startswith("spiffe://") or not equals:
            raise ValueError(f"write an identity as spiffe://domain/path=permission permission; got {entry!r}")
        words = permissions.split()
        callers[identity] = Caller(
            CallerKind.SERVICE,
            identity,
            permissions=frozenset(word for word in words if not word.startswith((_METER, _GAUGE))),
            credential_id=identity,
            usage=UsageScope(_named(words, _METER), _named(words, _GAUGE)),
        )
    return callers


def _named(words: Iterable[str], prefix: str) -> frozenset[str]:
    return frozenset(word.removeprefix(prefix) for word in words if word.startswith(prefix)) or frozenset({"*"})
