"""Ending READ_ONLY after a plan change, as soon as no level that the change put over its limit is over it any more."""

from __future__ import annotations

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.entitlements import reader, repository
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy, TenantEntitlements

__all__ = ["end_read_only", "end_read_only_now"]


async def end_read_only(connection: Connection, found: TenantEntitlements) -> None:
    """End READ_ONLY where no level is over its limit.

    READ_ONLY concerns the levels that a plan change put over their limit. Levels that go over later, for example by an
    override, do not count.

    Call this in a transaction that has locked the tenant. A transaction that shares the lock must have the log's lock:
    of two levels that fall at once, the second then sees the first.
    """
    if found.terms.over_limit_policy is OverLimitPolicy.READ_ONLY and not found.over_limit:
        await repository.set_terms(connection, found.tenant_id, None)


async def end_read_only_now(connection: Connection, tenant_id: TenantId) -> None:
    """Read the tenant's entitlements, and end READ_ONLY as `end_read_only` does."""
    found = await reader.load(connection, tenant_id)
    if found is not None:
        await end_read_only(connection, found)
