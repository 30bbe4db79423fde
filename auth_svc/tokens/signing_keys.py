"""The keys that sign access tokens: made, published, put to use, retired. Issuing tokens lives in `tokens`."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenantmesh.interceptors.errors import MeshError, Unavailable
from tenantmesh.interceptors.tokens import MAX_LIFETIME
from tenantmesh.runtime.encryption import KeyEncryptionKey, SealBroken

__all__ = ["KeyRing", "KeySchedule", "SigningKey", "SigningKeyStore"]

_log = structlog.get_logger()

RELOAD_EVERY = timedelta(seconds=60)
REFRESH_AT_MOST_EVERY = timedelta(seconds=1)
_CLOCKS_DIFFER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key as it is stored. The private part is sealed; the context of the seal is the kid."""

    kid: str
    public: bytes
    sealed_private: bytes
    create_time: datetime
    activate_time: datetime


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """How long a key signs, and how long before that it is published, so that verifiers have it when it begins to."""

    sign_for: timedelta = timedelta(days=30)
    publish_before: timedelta = timedelta(minutes=10)

    def next_activation(self, keys: Sequence[SigningKey], now: datetime) -> datetime | None:
        """When a key that is made now is to begin signing; None while none is needed. The first begins at once."""
        if not keys:
            return now
        newest = max(key.activate_time for key in keys)
        due = newest + self.sign_for
        return max(due, now + self.publish_before) if due - self.publish_before <= now else None


class SigningKeyStore(Protocol):
    """Keeps the keys of all processes."""

    async def all(self) -> list[SigningKey]:
        """Must return every key. Raises Unavailable."""
        ...

    async def add_if(self, make: Callable[[Sequence[SigningKey]], SigningKey | None]) -> list[SigningKey]:
        """Must show `make` every key, add what it returns and return all, one process at a time. Raises Unavailable."""
        ...


def published(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """The keys that verifiers must know, oldest first: all but those whose last token has expired."""
    ordered = sorted(keys, key=lambda key: (key.activate_time, key.kid))
    grace = timedelta(seconds=MAX_LIFETIME) + _CLOCKS_DIFFER
    current = [key for key, successor in pairwise(ordered) if successor.activate_time + grace > now]
    return current + ordered[-1:]


class KeyRing:
    """The signing keys in memory: signs with the right one, and is the local key set of the chain.

    The database is looked at every minute, so that every process knows a key long before it signs.
    """

    def __init__(
        self,
        store: SigningKeyStore,
        kek: KeyEncryptionKey,
        schedule: KeySchedule,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._kek = kek
        self._schedule = schedule
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()
        self._public: dict[str, Ed25519PublicKey] = {}
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._upkeep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Loads the keys, making the first one if there is none, and keeps them current in the background.

        Raises SealBroken when they were sealed under another KEK, Unavailable without a database.
        """
        await self.maintain()
        self._upkeep = asyncio.create_task(self._maintain_for_ever(), name="signing-keys")

    async def close(self) -> None:
        """Ends the upkeep."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._upkeep

    def signer(self) -> tuple[str, Ed25519PrivateKey]:
        """The kid and key that sign now."""
        now = self._now()
        active = [key for key in self._keys if key.activate_time <= now]
        if not active:
            raise Unavailable("CREDENTIALS_UNVERIFIABLE", "No signing key is active yet. Retry with backoff.")
        kid = max(active, key=lambda key: (key.activate_time, key.kid)).kid
        return kid, self._private[kid]

    def published(self) -> list[SigningKey]:
        """The keys to publish now, the next one included."""
        return published(self._keys, self._now())

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """As `KeySet.get`; a retired key is unknown."""
        return self._public.get(kid)

    async def refresh(self, kid: str) -> None:
        """As `KeySet.refresh`: looks into the database, at most once a second."""
        async with self._looking:
            if self.get(kid) is None and self._clock() - self._looked_at >= REFRESH_AT_MOST_EVERY.total_seconds():
                self._learn(await self._store.all())

    async def maintain(self) -> None:
        """Makes the next key when it is due, and takes over what other processes made."""
        async with self._looking:
            keys = await self._store.all()
            if self._schedule.next_activation(keys, self._now()) is not None:
                keys = await self._store.add_if(self._next_key)
            self._learn(keys)

    def _next_key(self, existing: Sequence[SigningKey]) -> SigningKey | None:
        now = self._now()
        activate_time = self._schedule.next_activation(existing, now)
        if activate_time is None:
            return None
        private, kid = Ed25519PrivateKey.generate(), secrets.token_hex(8)
        sealed = self._kek.seal(private.private_bytes_raw(), "signing-key", kid)
        return SigningKey(kid, private.public_key().public_bytes_raw(), sealed, now, activate_time)

    def _learn(self, keys: Sequence[SigningKey]) -> None:
        """Replaces what is in memory, all or nothing: a key that does not open must not displace those that do."""
        valid = published(keys, self._now())
        private = {key.kid: self._private.get(key.kid) or self._opened(key) for key in valid}
        self._keys = tuple(valid)
        self._private = private
        self._public = {key.kid: private[key.kid].public_key() for key in valid}
        self._looked_at = self._clock()

    def _opened(self, key: SigningKey) -> Ed25519PrivateKey:
        private = Ed25519PrivateKey.from_private_bytes(self._kek.open(key.sealed_private, "signing-key", key.kid))
        if private.public_key().public_bytes_raw() != key.public:
            # Publishing it would have the mesh believe whoever wrote it there.
            raise SealBroken(f"the public part of signing key {key.kid} does not belong to its private part")
        return private

    async def _maintain_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RELOAD_EVERY.total_seconds())
            try:
                await self.maintain()
            except MeshError as error:
                _log.warning("signing keys could not be looked at", reason=error.message)
            except Exception:
                _log.exception("the upkeep of signing keys failed")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
