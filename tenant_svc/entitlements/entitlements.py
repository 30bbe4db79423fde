"""The use cases of reading entitlements, alone or with usage. They open the doors and use neither gRPC nor SQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlement import TenantEntitlements
from tenantmesh.tenant_svc.entitlements.reader import WithSpent
from tenantmesh.tenant_svc.entitlements.standing import Standing

__all__ = ["EntitlementQueries", "Pooled", "nothing_pooled"]

Pooled = Callable[[TenantId, Sequence[str]], Awaitable[Mapping[str, int]]]
"""Reads the pool's units of METERED features, which are given out and not used. Raises StoreUnavailable."""


async def nothing_pooled(_tenant_id: TenantId, _meters: Sequence[str]) -> Mapping[str, int]:
    """Return an empty pool: every unit that was given out then counts as used."""
    return {}


class EntitlementQueries:
    """The use cases. All raise Unavailable when the database can't be reached. While the pool is away, its units count
    as used."""

    def __init__(self, doors: Doors, pooled: Pooled = nothing_pooled) -> None:
        self._doors = doors
        self._pooled = pooled

    async def find(self, tenant_id: TenantId) -> TenantEntitlements | None:
        """Return all entitlements of the tenant, or None when it is deleted or never existed."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            return await reader.load(connection, tenant_id)

    async def get(self, tenant_id: TenantId) -> Standing:
        """Return all entitlements of the tenant, without usage. Raises NotFound."""
        found = await self.find(tenant_id)
        if found is None:
            raise no_such_tenant()
        return Standing(found)

    async def standing(self, tenant_id: TenantId) -> Standing:
        """Return all entitlements of the tenant with their usage. Raises NotFound."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await reader.load_with_spent(connection, tenant_id)
        if found is None:
            raise no_such_tenant()
        return await self.with_pooled(found, list(found.spent))

    async def with_pooled(self, found: WithSpent, features: Sequence[str]) -> Standing:
        """Return the tenant's standing, with the units of these features in the pool.

        Call this while no transaction is open: the pool may take as long as its timeout.
        """
        given = [name for name in features if found.spent.get(name)]
        try:
            pooled = await self._pooled(found.entitlements.tenant_id, given) if given else {}
        except StoreUnavailable:
            pooled = {}
        return Standing(found.entitlements, found.spent, pooled)
