"""Ending expired reservations: their units return to the accounts and grants from which they were taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.allocations import repository
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState
from tenantmesh.tenant_svc.allowances import accounts
from tenantmesh.tenant_svc.allowances.repository import LedgerKey
from tenantmesh.tenant_svc.allowances.reservations import Reservations

__all__ = ["StoredReservations", "release_expired", "reserved_units"]

BATCH = 100
"""The most reservations that one transaction ends."""


class StoredReservations(Reservations):
    """The reservations in the database. Every method raises Unavailable while it is away."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def reserved(self, connection: Connection, tenant_id: TenantId, key: LedgerKey) -> int:
        """See Reservations."""
        return await repository.reserved(connection, tenant_id, key)

    async def any_expired(self, connection: Connection, tenant_id: TenantId, moment: datetime | None) -> bool:
        """See Reservations."""
        return await repository.any_expired(connection, tenant_id, moment)

    async def release_expired(self, tenant_id: TenantId, moment: datetime | None) -> int:
        """See Reservations."""
        return await release_expired(self._doors, tenant_id, moment)


async def release_expired(doors: Doors, tenant_id: TenantId, moment: datetime | None) -> int:
    """End up to BATCH expired reservations of the tenant, and return how many. `moment` is as in Reservations.

    Other transactions that do the same wait, and then find them ended. Raises Unavailable while the database is away.
    """
    async with doors.tenant(tenant_id) as connection:
        expired = await repository.lock_expired(connection, tenant_id, moment, BATCH)
        await accounts.put_back(connection, tenant_id, reserved_units(expired))
        ids = [allocation.id for allocation in expired if allocation.id]
        await repository.end_all(connection, tenant_id, ids, AllocationState.EXPIRED)
    return len(expired)


def reserved_units(allocations: Iterable[Allocation]) -> Counter[LedgerKey]:
    """Return the units that the allocations hold, by meter and period."""
    amounts: Counter[LedgerKey] = Counter()
    for allocation in allocations:
        for item in allocation.items:
            amounts[item.meter, item.period_start] += item.allocated
    return amounts
