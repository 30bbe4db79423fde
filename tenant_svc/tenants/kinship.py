"""Checks of parents and children that stay true until a change is committed.

A tenant's own transaction sees no other tenant, so a second one looks across tenants beside it. Call the checks when
the first one has locked the log: all changes that make a tenant a child, or take a parent away, hold that lock until
they are visible. Open the second one first, so that nobody who holds the lock waits for a connection.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.tenants import directory_repository
from tenantmesh.tenant_svc.tenants.directory_repository import ParentState
from tenantmesh.tenant_svc.tenants.refusals import below_deleted, parent_not_found, with_children
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = ["adopted", "looking_across", "refuse_parent", "refuse_with_children"]


def looking_across(doors: Doors) -> AbstractAsyncContextManager[Connection]:
    """Return the second transaction. One reason for all: together they leave connections to look-ups."""
    return doors.system("look for the parent and the children of a tenant that changes", read_only=True)


async def refuse_parent(across: Connection, parent_id: TenantId) -> None:
    """Raise NotFound `PARENT_NOT_FOUND` unless the tenant exists and is not deleted."""
    if parent_id not in await directory_repository.not_deleted(across, [parent_id]):
        raise parent_not_found()


async def refuse_with_children(across: Connection, tenant_id: TenantId) -> None:
    """Raise FailedPrecondition `TENANT_HAS_CHILDREN` while a tenant below this one is not deleted."""
    if await directory_repository.has_children(across, tenant_id):
        raise with_children()


async def adopted(across: Connection, tenant: Tenant) -> Tenant:
    """Return the tenant as it comes back: without a parent that is purged. Raises FailedPrecondition
    `PARENT_DELETED`."""
    parent = await directory_repository.parent_of(across, tenant.id)
    if parent is ParentState.DELETED:
        raise below_deleted()
    return tenant if parent is ParentState.SERVED else replace(tenant, profile=replace(tenant.profile, parent_id=None))
