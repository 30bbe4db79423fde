"""How long the terms of a plan change last where no time is set: as long as what was over its limit then."""

from __future__ import annotations

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements import reader, repository
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements

__all__ = ["settle", "settle_now"]


async def settle(connection: Connection, found: TenantEntitlements) -> None:
    """Ends READ_ONLY where nothing is over its limit: it was chosen for what the plan change put over, and says nothing
    about what goes over later, by an override say.

    In a transaction that holds the tenant; one that shares it takes the log's lock first, so that of two levels which
    fall at once the second sees the first.
    """
    if found.terms.over_limit_policy is OverLimitPolicy.READ_ONLY and not found.over_limit:
        await repository.set_terms(connection, found.tenant_id, None)


async def settle_now(connection: Connection, tenant_id: TenantId) -> None:
    """As `settle`, by what the tenant has at this moment."""
    found = await reader.load(connection, tenant_id)
    if found is not None:
        await settle(connection, found)
