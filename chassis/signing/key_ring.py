"""The key ring: makes, loads and publishes the signing keys of a service."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.locks import hold
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import RELOAD_EVERY, KeySchedule, SigningKey
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.runtime import locks
from tenantmesh.runtime.encryption import KeyEncryptionKey, SealBroken

__all__ = ["KeyRing"]

_REASON = "signing keys sign for all tenants"

REFRESH_AT_MOST_EVERY = timedelta(seconds=1)


class KeyRing:
    """The signing keys in memory: for those who sign, and the KeySet of this process.

    The keys are read from the database every minute, so every process knows a key long before the key signs.
    inactive_reason: the reason of Unavailable while no key is active.
    """

    def __init__(
        self,
        doors: Doors,
        rows: SigningKeyRows,
        kek: KeyEncryptionKey,
        schedule: KeySchedule,
        inactive_reason: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._doors = doors
        self._rows = rows
        self._inactive_reason = inactive_reason
        self._kek = kek
        self._schedule = schedule
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()
        self._public: dict[str, Ed25519PublicKey] = {}
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()
        self._upkeep = Repeating("signing-keys", self._maintain, RELOAD_EVERY, later=True)

    async def start(self) -> None:
        """Load the keys, make the first one if there is none, and keep them current in the background.

        Raises SealBroken when they were sealed under another KEK, and Unavailable without a database.
        """
        await self.maintain()
        await self._upkeep.start()

    async def close(self) -> None:
        """Stop the background task."""
        await self._upkeep.close()

    def signer(self) -> tuple[str, Ed25519PrivateKey]:
        """Return the kid and the private key that sign now. Raises Unavailable while no key is active."""
        now = self._now()
        active = [key for key in self._keys if key.activate_time <= now]
        if not active:
            raise Unavailable(self._inactive_reason, "No signing key is active yet. Retry with backoff.")
        kid = max(active, key=lambda key: (key.activate_time, key.kid)).kid
        return kid, self._private[kid]

    def published(self) -> list[SigningKey]:
        """Return the keys to publish now, including the next one to sign."""
        return self._schedule.published(self._keys, self._now())

    @property
    def cached_for(self) -> timedelta:
        """How long a cache may keep the published keys."""
        return self._schedule.cached_for

    def get(self, kid: str) -> Ed25519PublicKey | None:
        """As `KeySet.get`. A retired key is unknown."""
        return self._public.get(kid)

    async def refresh(self, kid: str) -> None:
        """As `KeySet.refresh`. Reads the database once a second at most."""
        async with self._loading:
            if self.get(kid) is None and self._clock() - self._loaded_at >= REFRESH_AT_MOST_EVERY.total_seconds():
                self._load(await self._stored())

    async def maintain(self) -> None:
        """Make the next key when it is due, and load the keys that other processes have made."""
        async with self._loading:
            keys = await self._stored()
            if self._schedule.next_activation(keys, self._now()) is not None:
                keys = await self._with_next()
            self._load(keys)

    async def _stored(self) -> list[SigningKey]:
        async with self._doors.system(_REASON, read_only=True) as connection:
            return await self._rows.all_keys(connection)

    async def _with_next(self) -> list[SigningKey]:
        """Return the stored keys, with the next one added if it is still due once this process holds the lock."""
        async with self._doors.system(_REASON) as connection:
            await hold(connection, locks.SIGNING_KEYS)
            keys = await self._rows.all_keys(connection)
            activate_time = self._schedule.next_activation(keys, self._now())
            if activate_time is not None:
                key = self._new_key(activate_time)
                await self._rows.add(connection, key)
                keys.append(key)
        return keys

    def _new_key(self, activate_time: datetime) -> SigningKey:
        private, kid = Ed25519PrivateKey.generate(), secrets.token_hex(8)
        sealed = self._kek.seal(private.private_bytes_raw(), "signing-key", kid)
        return SigningKey(kid, private.public_key().public_bytes_raw(), sealed, self._now(), activate_time)

    def _load(self, keys: Sequence[SigningKey]) -> None:
        """Replace the keys in memory by these, or by none of them: a key that does not open must not evict the others.

        Raises SealBroken.
        """
        valid = self._schedule.published(keys, self._now())
        private = {key.kid: self._private.get(key.kid) or self._opened(key) for key in valid}
        self._keys = tuple(valid)
        self._private = private
        self._public = {key.kid: private[key.kid].public_key() for key in valid}
        self._loaded_at = self._clock()

    def _opened(self, key: SigningKey) -> Ed25519PrivateKey:
        private = Ed25519PrivateKey.from_private_bytes(self._kek.open(key.sealed_private, "signing-key", key.kid))
        if private.public_key().public_bytes_raw() != key.public:
            # Publishing it would make the mesh trust the person who has written it into the database.
            raise SealBroken(f"the public part of signing key {key.kid} does not belong to its private part")
        return private

    async def _maintain(self) -> int:
        await self.maintain()
        return 0

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
