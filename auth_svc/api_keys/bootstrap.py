"""System keys from the command line. It opens the database itself: before the first key exists, nobody may call."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

from tenantmesh.auth_svc.api_keys.api_keys import SystemKeys
from tenantmesh.auth_svc.api_keys.system_key import KeyAudience, SystemKey
from tenantmesh.auth_svc.schema import OUTAGE, SCHEMA
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.caller import Caller
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["caller_of", "create_key", "list_keys", "revoke_key"]


async def create_key(
    settings: DatabaseSettings,
    name: str,
    audience: str,
    permissions: Iterable[str],
    lifetime: timedelta | None = None,
    *,
    meters: Iterable[str] | None = None,
    gauges: Iterable[str] | None = None,
) -> str:
    """Create a key and return its text (`tmk_…`), which can't be read again.

    `settings` need `system_url`. `audience` is OPERATOR or SERVICE. A key without a lifetime never expires. `meters`
    and `gauges` are as in `SystemKeys.create`. Raises ValueError for another audience, InvalidArgument for a bad name,
    permission or feature, and Unavailable.
    """
    async with _keys(settings) as keys:
        made_for = KeyAudience(audience)
        return await keys.create(name, made_for, permissions, lifetime, meters=meters, gauges=gauges)


async def list_keys(settings: DatabaseSettings) -> list[SystemKey]:
    """Return all keys without their secrets, oldest first. Raises Unavailable."""
    async with _keys(settings) as keys:
        return await keys.list()


async def revoke_key(settings: DatabaseSettings, key_id: uuid.UUID) -> bool:
    """Revoke a key; processes accept it for another second at most.

    Returns False when there is no such key, or it was revoked before. Raises Unavailable.
    """
    async with _keys(settings) as keys:
        return await keys.revoke(key_id)


async def caller_of(settings: DatabaseSettings, key: str) -> Caller | None:
    """Return the caller that the key with this text makes; None for one that services refuse. Raises Unavailable."""
    async with _keys(settings) as keys:
        return await keys.verify(key)


@asynccontextmanager
async def _keys(settings: DatabaseSettings) -> AsyncIterator[SystemKeys]:
    database = Database(settings, schema=SCHEMA)
    try:
        yield SystemKeys(Doors(database, OUTAGE))
    finally:
        await database.close()
