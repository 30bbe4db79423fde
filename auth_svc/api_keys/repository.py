"""System keys in the database."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from tenantmesh.auth_svc.api_keys.api_keys import KeyAudience, SystemKey
from tenantmesh.auth_svc.api_keys.tables import SYSTEM_KEYS
from tenantmesh.chassis.doors import Doors
from tenantmesh.runtime.database import Record, compiled

__all__ = ["SystemKeyRepository"]

_REASON = "system keys belong to no tenant"
_ADD = compiled(insert(SYSTEM_KEYS))
_ALL = compiled(select(SYSTEM_KEYS).order_by(SYSTEM_KEYS.c.create_time, SYSTEM_KEYS.c.key_id))
_BY_ID = compiled(select(SYSTEM_KEYS).where(SYSTEM_KEYS.c.key_id == bindparam("key_id")))
_REVOKE = compiled(
    update(SYSTEM_KEYS)
    .where(SYSTEM_KEYS.c.key_id == bindparam("of_key"), SYSTEM_KEYS.c.revoke_time.is_(None))
    .values(revoke_time=bindparam("now"))
)


class SystemKeyRepository:
    """As SystemKeyStore."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def add(self, key: SystemKey) -> None:
        """Stores the key."""
        async with self._doors.system(_REASON) as connection:
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
            )

    async def by_id(self, key_id: uuid.UUID) -> SystemKey | None:
        """The key, or None."""
        async with self._doors.system(_REASON, read_only=True) as connection:
            row = await connection.fetch_row(_BY_ID, key_id=key_id)
        return None if row is None else _system_key(row)

    async def all(self) -> list[SystemKey]:
        """Every key, oldest first."""
        async with self._doors.system(_REASON, read_only=True) as connection:
            return [_system_key(row) for row in await connection.fetch(_ALL)]

    async def revoke(self, key_id: uuid.UUID, now: datetime) -> bool:
        """Ends the key; False when there was nothing to end."""
        async with self._doors.system(_REASON) as connection:
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
    )
