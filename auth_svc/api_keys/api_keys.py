"""The use cases of system keys: create, list, revoke and verify. Knows neither gRPC nor SQL."""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from tenantmesh.auth_svc.api_keys import repository
from tenantmesh.auth_svc.api_keys.system_key import KeyAudience, SystemKey, check_new_key, usage_of_new
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.credentials import API_KEY_PREFIX
from tenantmesh.runtime.ids import uuid7

__all__ = ["SystemKeys"]

_REASON = "system keys belong to no tenant"
_FORM = re.compile(API_KEY_PREFIX + r"([0-9a-f]{32})_([0-9a-f]{64})", re.ASCII)
_SECRET_BYTES = 32


class SystemKeys:
    """The use cases, and the ApiKeyVerifier of this process. All raise Unavailable without a database."""

    def __init__(self, doors: Doors, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._doors = doors
        self._clock = clock

    async def create(
        self,
        name: str,
        audience: KeyAudience,
        permissions: Iterable[str],
        lifetime: timedelta | None = None,
        *,
        meters: Iterable[str] | None = None,
        gauges: Iterable[str] | None = None,
    ) -> str:
        """Create a key and return its text, which can't be read again. Raises InvalidArgument.

        meters, gauges: the features whose usage it may count; `*` is all. None: all for operators, none for services.
        """
        granted, usage = tuple(sorted(set(permissions))), usage_of_new(audience, meters, gauges)
        check_new_key(name, granted, lifetime, usage)
        key_id, secret, now = uuid7(), secrets.token_hex(_SECRET_BYTES), self._clock()
        expire_time = now + lifetime if lifetime is not None else None
        key = SystemKey(key_id, name, audience, granted, _hash(secret), now, expire_time, usage=usage)
        async with self._doors.system(_REASON) as connection:
            await repository.add(connection, key)
        return f"{API_KEY_PREFIX}{key_id.hex}_{secret}"

    async def list(self) -> list[SystemKey]:
        """Return all keys, also revoked and expired ones, oldest first."""
        async with self._doors.system(_REASON, read_only=True) as connection:
            return await repository.all_keys(connection)

    async def revoke(self, key_id: uuid.UUID) -> bool:
        """Revoke a key. Return False when there is no such key, or it was revoked before.

        Other processes accept the key for another second, because they remember a verified key that long.
        """
        async with self._doors.system(_REASON) as connection:
            return await repository.revoke(connection, key_id, self._clock())

    async def verify(self, key: str) -> Caller | None:
        """Return the caller, or None for a key that is malformed, unknown, wrong, expired or revoked."""
        form = _FORM.fullmatch(key)
        if form is None:
            return None
        async with self._doors.system(_REASON, read_only=True) as connection:
            stored = await repository.by_id(connection, uuid.UUID(form[1]))
        # The hashes are compared even when there is no such key, so that the time does not tell which ids exist.
        genuine = hmac.compare_digest(_hash(form[2]), stored.secret_hash if stored else bytes(_SECRET_BYTES))
        if stored is None or not genuine or not stored.is_valid(self._clock()):
            return None
        return stored.caller()

    async def holder(self, key_id: uuid.UUID) -> Caller | None:
        """Return the caller of the key with that id; None where it is unknown, expired or revoked."""
        async with self._doors.system(_REASON, read_only=True) as connection:
            stored = await repository.by_id(connection, key_id)
        return None if stored is None or not stored.is_valid(self._clock()) else stored.caller()


def _hash(secret: str) -> bytes:
    """Hash the secret. It has 256 random bits, so a fast hash is enough."""
    return sha256(secret.encode("ascii")).digest()
