"""Signing keys in the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import BigInteger, bindparam, func, insert, select

from tenantmesh.auth_svc.tokens.signing_keys import SigningKey
from tenantmesh.auth_svc.tokens.tables import SIGNING_KEYS
from tenantmesh.chassis.doors import Doors
from tenantmesh.runtime.database import Connection, Record, compiled

__all__ = ["SigningKeyRepository"]

_ALL = compiled(select(SIGNING_KEYS))
_ADD = compiled(insert(SIGNING_KEYS))
_LOCK = compiled(select(func.pg_advisory_xact_lock(bindparam("lock", type_=BigInteger))))
_LOCK_ID = 0x746D_6B65_7973  # one number for all processes; nothing else of this database uses it


class SigningKeyRepository:
    """As SigningKeyStore."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def all(self) -> list[SigningKey]:
        """Every key."""
        async with self._doors.system("signing keys sign for all tenants", read_only=True) as connection:
            return await _read(connection)

    async def add_if(self, make: Callable[[Sequence[SigningKey]], SigningKey | None]) -> list[SigningKey]:
        """Adds what `make` returns, under a lock that one process at a time holds."""
        async with self._doors.system("signing keys sign for all tenants") as connection:
            await connection.fetch(_LOCK, lock=_LOCK_ID)
            keys = await _read(connection)
            if (key := make(keys)) is not None:
                await _add(connection, key)
                keys.append(key)
            return keys


async def _read(connection: Connection) -> list[SigningKey]:
    return [_signing_key(row) for row in await connection.fetch(_ALL)]


async def _add(connection: Connection, key: SigningKey) -> None:
    await connection.execute(
        _ADD,
        kid=key.kid,
        public_key=key.public,
        sealed_private_key=key.sealed_private,
        create_time=key.create_time,
        activate_time=key.activate_time,
    )


def _signing_key(row: Record) -> SigningKey:
    return SigningKey(
        kid=row["kid"],
        public=row["public_key"],
        sealed_private=row["sealed_private_key"],
        create_time=row["create_time"],
        activate_time=row["activate_time"],
    )
