"""Doors that count the transactions which are opened through them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.chassis.doors import Doors
from tenantmesh.runtime.database import Connection, Database


class CountingDoors(Doors):
    """Counts."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, OUTAGE)
        self.opened = 0
        """Transactions since the beginning."""
        self.open = 0
        """Transactions that have not ended."""

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID, *, read_only: bool = False) -> AsyncIterator[Connection]:
        async with self._counted(super().tenant(tenant_id, read_only=read_only)) as connection:
            yield connection

    @asynccontextmanager
    async def system(
        self, reason: str, *, on_behalf_of: UUID | None = None, read_only: bool = False
    ) -> AsyncIterator[Connection]:
        async with self._counted(super().system(reason, on_behalf_of=on_behalf_of, read_only=read_only)) as connection:
            yield connection

    @asynccontextmanager
    async def _counted(self, transaction: Any) -> AsyncIterator[Connection]:
        self.opened += 1
        self.open += 1
        try:
            async with transaction as connection:
                yield connection
        finally:
            self.open -= 1
