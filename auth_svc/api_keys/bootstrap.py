"""System keys from the command line: straight on the database, since before the first key nobody may call anything."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

from tenantmesh.auth_svc.api_keys.api_keys import KeyAudience, SystemKey, SystemKeys
from tenantmesh.auth_svc.api_keys.repository import SystemKeyRepository
from tenantmesh.auth_svc.schema import OUTAGE, SCHEMA
from tenantmesh.chassis.doors import Doors
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["create_key", "list_keys", "revoke_key"]


async def create_key(
    settings: DatabaseSettings,
    name: str,
    audience: str,
    permissions: Iterable[str],
    lifetime: timedelta | None = None,
) -> str:
    """Makes a key (`tmk_…`) and returns it: this is the only time that it can be read.

    `settings` need the system door, `system_url`. `audience` is OPERATOR or SERVICE; without a lifetime the key never
    expires. Raises ValueError for another audience, InvalidArgument for a bad name or permission, Unavailable.
    """
    async with _keys(settings) as keys:
        return await keys.create(name, KeyAudience(audience), permissions, lifetime)


async def list_keys(settings: DatabaseSettings) -> list[SystemKey]:
    """Every key, oldest first, without its secret. Raises Unavailable."""
    async with _keys(settings) as keys:
        return await keys.list()


async def revoke_key(settings: DatabaseSettings, key_id: uuid.UUID) -> bool:
    """Ends a key; False when there was none to end. Processes believe it a second more at most. Raises Unavailable."""
    async with _keys(settings) as keys:
        return await keys.revoke(key_id)


@asynccontextmanager
async def _keys(settings: DatabaseSettings) -> AsyncIterator[SystemKeys]:
    database = Database(settings, schema=SCHEMA)
    try:
        yield SystemKeys(SystemKeyRepository(Doors(database, OUTAGE)))
    finally:
        await database.close()
