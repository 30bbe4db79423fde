"""The door of the role that deletes a tenant's rows for good. A process without that role has none."""

from __future__ import annotations

from datetime import timedelta

from pydantic import SecretStr
from sqlalchemy import MetaData

from tenantmesh.chassis.doors import Doors, Outage
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.row_security import verify_purger
from tenantmesh.runtime.settings import DatabaseSettings

__all__ = ["ErasureDoor"]

_CONNECTIONS = 2
_COMMAND_TIMEOUT = timedelta(seconds=35)
"""Longer than the role's own statement_timeout: to count a large tenant's rows takes seconds."""


class ErasureDoor:
    """A door through which a transaction deletes rows of its tenant. Its start raises InsecureDatabase for a role that
    may more or less than that, and DatabaseError: then do not serve."""

    def __init__(self, url: SecretStr, database: DatabaseSettings, metadata: MetaData, outage: Outage) -> None:
        only = {
            "url": url,
            "system_url": None,
            "pool_size": _CONNECTIONS,
            "tenant_share": 1.0,
            "command_timeout": max(database.command_timeout, _COMMAND_TIMEOUT),
        }
        self._metadata = metadata
        self._database = Database(database.model_copy(update=only), schema=metadata.schema or "")
        self.doors = Doors(self._database, outage)

    async def start(self) -> None:
        """Connect, and compare the role with its declaration."""
        await self._database.open()
        await verify_purger(self._database, self._metadata)

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()
