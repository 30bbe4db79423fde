"""Ending reservations whose time is over: their units go back to where they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.allocations import repository as allocation_repository
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState
from tenantmesh.tenant_svc.allowances import accounts
from tenantmesh.tenant_svc.allowances.repository import LedgerKey

__all__ = ["BATCH", "release_expired", "reserved"]

BATCH = 100
"""How many reservations one transaction ends at most."""


async def release_expired(doors: Doors, tenant_id: TenantId, moment: datetime | None) -> int:
    """Ends up to BATCH of the tenant's reservations that have expired, and returns how many. Whoever else does the same
    waits, and then finds them ended."""
    async with doors.tenant(tenant_id) as connection:
        expired = await allocation_repository.lock_expired(connection, tenant_id, moment, BATCH)
        await accounts.put_back(connection, tenant_id, reserved(expired))
        await allocation_repository.end_all(
            connection, tenant_id, [each.id for each in expired if each.id], AllocationState.EXPIRED
        )
    return len(expired)


def reserved(allocations: Iterable[Allocation]) -> Counter[LedgerKey]:
    """What the allocations hold, by meter and period."""
    held: Counter[LedgerKey] = Counter()
    for each in allocations:
        for item in each.items:
            held[item.meter, item.period_start] += item.allocated
    return held
