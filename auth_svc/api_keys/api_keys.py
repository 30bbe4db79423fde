"""System keys: making, revoking and verifying them. What a key may do is stored with it."""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import sha256
from typing import Protocol

from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.links.authentication import API_KEY_PREFIX
from tenantmesh.interceptors.names import in_words
from tenantmesh.runtime.ids import uuid7

__all__ = ["KeyAudience", "SystemKey", "SystemKeyStore", "SystemKeys"]

_FORM = re.compile(API_KEY_PREFIX + r"([0-9a-f]{32})_([0-9a-f]{64})", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_.-]{1,62}", re.ASCII)
_PERMISSION = re.compile(r"\*|[a-z][a-z_]*(?:\.[a-z][a-z_]*)+", re.ASCII)
_SECRET_BYTES = 32


class KeyAudience(Enum):
    """Which kind of caller a key makes."""

    OPERATOR = "OPERATOR"
    SERVICE = "SERVICE"


@dataclass(frozen=True, slots=True)
class SystemKey:
    """A key as it is stored: its secret only as a hash."""

    id: uuid.UUID
    name: str
    audience: KeyAudience
    permissions: tuple[str, ...]
    secret_hash: bytes
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time)

    def caller(self) -> Caller:
        """Whom the key stands for."""
        return Caller(
            kind=CallerKind[self.audience.value],
            subject=self.name,
            permissions=frozenset(self.permissions),
            credential_id=str(self.id),
            expires_at=self.expire_time.timestamp() if self.expire_time else None,
        )


class SystemKeyStore(Protocol):
    """Keeps system keys."""

    async def add(self, key: SystemKey) -> None:
        """Must store the key. Raises Unavailable."""
        ...

    async def by_id(self, key_id: uuid.UUID) -> SystemKey | None:
        """Must return the key, or None. Raises Unavailable."""
        ...

    async def all(self) -> list[SystemKey]:
        """Must return every key, oldest first. Raises Unavailable."""
        ...

    async def revoke(self, key_id: uuid.UUID, now: datetime) -> bool:
        """Must end the key, and say whether it was there and not revoked. Raises Unavailable."""
        ...


class SystemKeys:
    """The use cases of system keys; also the local ApiKeyVerifier of the chain."""

    def __init__(self, store: SystemKeyStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, name: str, audience: KeyAudience, permissions: Iterable[str], lifetime: timedelta | None = None
    ) -> str:
        """Makes a key and returns it; it is not readable again. Raises InvalidArgument, Unavailable."""
        granted = tuple(sorted(set(permissions)))
        _check(name, granted, lifetime)
        key_id, secret, now = uuid7(), secrets.token_hex(_SECRET_BYTES), self._clock()
        expire_time = now + lifetime if lifetime is not None else None
        await self._store.add(SystemKey(key_id, name, audience, granted, _hash(secret), now, expire_time))
        return f"{API_KEY_PREFIX}{key_id.hex}_{secret}"

    async def list(self) -> list[SystemKey]:
        """Every key, revoked and expired ones too, oldest first."""
        return await self._store.all()

    async def revoke(self, key_id: uuid.UUID) -> bool:
        """Ends a key. Others believe it no longer than they remember verified keys: 30 s. False: it was not valid."""
        return await self._store.revoke(key_id, self._clock())

    async def verify(self, key: str) -> Caller | None:
        """As ApiKeyVerifier: the caller, or None for a key that is malformed, unknown, wrong, expired or revoked."""
        form = _FORM.fullmatch(key)
        if form is None:
            return None
        stored = await self._store.by_id(uuid.UUID(form[1]))
        # Compared also when there is no such key, so that ids can't be probed by the time it takes.
        genuine = hmac.compare_digest(_hash(form[2]), stored.secret_hash if stored else bytes(_SECRET_BYTES))
        if stored is None or not genuine or not stored.is_valid(self._clock()):
            return None
        return stored.caller()


def _check(name: str, permissions: tuple[str, ...], lifetime: timedelta | None) -> None:
    broken = []
    if not _NAME.fullmatch(name):
        broken.append(FieldViolation("name", "must be 2 to 63 of a-z, 0-9, _, . and -, starting with a letter"))
    if wrong := [each for each in permissions if not _PERMISSION.fullmatch(each)]:
        broken.append(FieldViolation("permissions", f"must be like tenants.read, or *: {in_words(wrong)}"))
    if lifetime is not None and lifetime <= timedelta():
        broken.append(FieldViolation("lifetime", "must be positive"))
    if broken:
        raise InvalidArgument.fields(broken)


def _hash(secret: str) -> bytes:
    """256 random bits need no slower hash."""
    return sha256(secret.encode("ascii")).digest()
