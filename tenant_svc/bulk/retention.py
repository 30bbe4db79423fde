"""The use cases of deleting what batches and imports have done, once it is old. They open the door."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.tenant_svc.bulk import repository

__all__ = ["BulkRetention"]

_KEEP_REQUESTS = timedelta(days=7)
_KEEP_IMPORTS = timedelta(days=30)
_BATCH = 100
"""Rows that one transaction deletes. A row may hold a megabyte."""


class BulkRetention:
    """The use cases. All raise Unavailable when the database can't be reached. Each deletes a batch, and returns how
    many rows: 0 when none are left."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def forget_requests(self) -> int:
        """Delete batches that may no longer be repeated."""
        async with self._doors.system("delete old requests of batches") as connection:
            return await repository.forget_requests(connection, _KEEP_REQUESTS, _BATCH)

    async def forget_imports(self) -> int:
        """Delete imports that ended long ago, with the lines that they rejected."""
        async with self._doors.system("delete old imports of tenants") as connection:
            return await repository.forget_imports(connection, _KEEP_IMPORTS, _BATCH)
