"""The use cases of brandings: read and change those of a tenant and of the installation. They open the doors."""

from __future__ import annotations

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import stale
from tenantmesh.interceptors.tenants import TenantId, no_such_tenant
from tenantmesh.tenant_svc.branding import repository
from tenantmesh.tenant_svc.branding.branding import BrandingChange, StoredBranding
from tenantmesh.tenant_svc.branding.rules import check_branding, check_default
from tenantmesh.tenant_svc.tenants.repository import get_locked

__all__ = ["Brandings"]


class Brandings:
    """The use cases. All raise Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def get(self, tenant_id: TenantId) -> StoredBranding:
        """Return the tenant's branding as it was set."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            return await repository.get(connection, tenant_id)

    async def change(self, tenant_id: TenantId, change: BrandingChange) -> StoredBranding:
        """Change the tenant's branding. A change to the same values stores nothing.

        Raises InvalidArgument, NotFound `TENANT_NOT_FOUND`, Aborted `ETAG_MISMATCH`.
        """
        async with self._doors.tenant(tenant_id) as connection:
            # The tenant's row is locked, since before the first change there is no other one: changes take turns.
            if await get_locked(connection, tenant_id) is None:
                raise no_such_tenant()
            before = await repository.get(connection, tenant_id)
            _refuse_stale(change, before)
            wanted = change.of(before.branding)
            check_branding(change, wanted)
            return before if wanted == before.branding else await repository.store(connection, tenant_id, wanted)

    async def default(self) -> StoredBranding:
        """Return the branding of the installation."""
        async with self._doors.system("read the default branding", read_only=True) as connection:
            return await repository.get_default(connection)

    async def change_default(self, change: BrandingChange) -> StoredBranding:
        """Change the branding of the installation. A change to the same values stores nothing.

        Raises InvalidArgument, Aborted `ETAG_MISMATCH`.
        """
        async with self._doors.system("change the default branding") as connection:
            before = await repository.get_default_locked(connection)
            _refuse_stale(change, before)
            wanted = change.of(before.branding)
            check_default(change, wanted)
            return before if wanted == before.branding else await repository.store_default(connection, wanted)


def _refuse_stale(change: BrandingChange, before: StoredBranding) -> None:
    if change.etag and change.etag != before.etag:
        raise stale("branding")
