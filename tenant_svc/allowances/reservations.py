"""The port through which the ledger sees reservations, which are built on it (`tenant_svc.allocations`)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.allowances.repository import LedgerKey

__all__ = ["Reservations"]


class Reservations(Protocol):
    """The reserved units of allowances. `moment` is the time; None is the database's clock."""

    async def reserved(self, connection: Connection, tenant_id: TenantId, key: LedgerKey) -> int:
        """Must return the units of a meter in a period that open reservations hold. The caller has locked the
        account."""
        ...

    async def any_expired(self, connection: Connection, tenant_id: TenantId, moment: datetime | None) -> bool:
        """Must return whether reservations of the tenant have expired and are still open."""
        ...

    async def release_expired(self, tenant_id: TenantId, moment: datetime | None) -> int:
        """Must end some of those in a transaction of its own, returning their units, and return how many it ended."""
        ...
