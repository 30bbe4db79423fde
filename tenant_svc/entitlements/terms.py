"""Ends READ_ONLY after a plan change: as soon as nothing that the change put over its limit is over it any more."""

from __future__ import annotations

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements import reader, repository
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements

__all__ = ["end_read_only", "end_read_only_now"]


async def end_read_only(connection: Connection, found: TenantEntitlements) -> None:
    """Ends READ_ONLY where no level is over its limit. READ_ONLY is about the levels that a plan change put over; it
    says nothing about levels that go over later, for example by an override.

    Call this in a transaction that holds the tenant. A transaction that shares it must have the log's lock: of two
    levels that fall at once, the second then sees the first.
    """
    if found.terms.over_limit_policy is OverLimitPolicy.READ_ONLY and not found.over_limit:
        await repository.set_terms(connection, found.tenant_id, None)


async def end_read_only_now(connection: Connection, tenant_id: TenantId) -> None:
    """As `end_read_only`, by what the tenant is entitled to at this moment."""
    found = await reader.load(connection, tenant_id)
    if found is not None:
        await end_read_only(connection, found)
