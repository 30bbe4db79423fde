"""The SQL of signing keys. Every function needs the system's door, which the use case opens."""

from __future__ import annotations

from sqlalchemy import insert, select

from tenantmesh.auth_svc.tokens.signing_key import SigningKey
from tenantmesh.auth_svc.tokens.tables import signing_keys
from tenantmesh.runtime.database import Connection, Record, compiled

__all__ = ["add", "all_keys"]

_ALL = compiled(select(signing_keys))
_ADD = compiled(insert(signing_keys))


async def all_keys(connection: Connection) -> list[SigningKey]:
    """Return all keys."""
    return [_signing_key(row) for row in await connection.fetch(_ALL)]


async def add(connection: Connection, key: SigningKey) -> None:
    """Store the key."""
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
