"""The SQL of system keys. Every function needs the system's door, which the use case opens."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from tenantmesh.auth_svc.api_keys.system_key import KeyAudience, SystemKey
from tenantmesh.auth_svc.api_keys.tables import system_keys
from tenantmesh.interceptors.caller import UsageScope
from tenantmesh.runtime.database import Connection, Record, compiled

__all__ = ["add", "all_keys", "by_id", "revoke"]

_ADD = compiled(insert(system_keys))
_ALL = compiled(select(system_keys).order_by(system_keys.c.create_time, system_keys.c.key_id))
_BY_ID = compiled(select(system_keys).where(system_keys.c.key_id == bindparam("key_id")))
_REVOKE = compiled(
    update(system_keys)
    .where(system_keys.c.key_id == bindparam("of_key"), system_keys.c.revoke_time.is_(None))
    .values(revoke_time=bindparam("now"))
)


async def add(connection: Connection, key: SystemKey) -> None:
    """Store the key."""
    await connection.execute(
        _ADD,
        key_id=key.id,
        name=key.name,
        audience=key.audience.value,
        permissions=list(key.permissions),
        secret_hash=key.secret_hash,
        create_time=key.create_time,
        expire_time=key.expire_time,
        revoke_time=key.revoke_time,
        meters=sorted(key.usage.meters),
        gauges=sorted(key.usage.gauges),
    )


async def by_id(connection: Connection, key_id: uuid.UUID) -> SystemKey | None:
    """Return the key with this id, or None."""
    row = await connection.fetch_row(_BY_ID, key_id=key_id)
    return None if row is None else _system_key(row)


async def all_keys(connection: Connection) -> list[SystemKey]:
    """Return all keys, oldest first."""
    return [_system_key(row) for row in await connection.fetch(_ALL)]


async def revoke(connection: Connection, key_id: uuid.UUID, now: datetime) -> bool:
    """Revoke the key. Return False when there is no such key, or it was revoked before."""
    return await connection.execute(_REVOKE, of_key=key_id, now=now) == 1


def _system_key(row: Record) -> SystemKey:
    return SystemKey(
        id=row["key_id"],
        name=row["name"],
        audience=KeyAudience(row["audience"]),
        permissions=tuple(row["permissions"]),
        secret_hash=row["secret_hash"],
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
        usage=UsageScope(_named(row["meters"]), _named(row["gauges"])),
    )


def _named(features: Iterable[str] | None) -> frozenset[str]:
    """Return the features that a key names. Keys of before they named any have none stored, and may use all."""
    return frozenset({"*"} if features is None else features)
