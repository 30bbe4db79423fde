"""The use case of updating a tenant, and the job that ends a former slug. They open the doors."""

from __future__ import annotations

from dataclasses import replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.dry_runs import kept
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants import repository, slugs_repository
from tenantmesh.tenant_svc.tenants.edits import TenantEdit
from tenantmesh.tenant_svc.tenants.events import EventType
from tenantmesh.tenant_svc.tenants.profile import region_problem
from tenantmesh.tenant_svc.tenants.refusals import locked, name_taken, refuse_more_slugs
from tenantmesh.tenant_svc.tenants.tenant import FormerSlug, Tenant

__all__ = ["FORMER_SLUG_JOB", "TenantUpdates", "former_slugs_subject"]

FORMER_SLUG_JOB = "expire_former_slugs"


class TenantUpdates:
    """The use cases. All raise Unavailable when the database can't be reached."""

    def __init__(self, doors: Doors, settings: LifeSettings) -> None:
        self._doors = doors
        self._settings = settings

    async def update(self, tenant_id: TenantId, edit: TenantEdit, *, keep: bool = True) -> Tenant:
        """Change the tenant and return it. Without `keep` everything is checked and nothing stays changed.

        An edit that changes nothing leaves the tenant's version as it is. Raises NotFound, Aborted `ETAG_MISMATCH`,
        AlreadyExists `SLUG_TAKEN` and `EXTERNAL_ID_TAKEN`, InvalidArgument for an immutable or unknown value, and
        FailedPrecondition `TOO_MANY_SLUGS`.
        """
        try:
            async with kept(self._doors.tenant(tenant_id), keep=keep) as connection:
                return await self.update_in(connection, tenant_id, edit)
        except UniqueViolation as violation:
            raise name_taken(violation) from violation

    async def update_in(self, connection: Connection, tenant_id: TenantId, edit: TenantEdit) -> Tenant:
        """Do the same in a transaction of the tenant's door. Raises UniqueViolation for a taken name."""
        tenant = await locked(connection, tenant_id, edit.etag)
        edited = edit.applied_to(tenant)
        if edited.profile.region != tenant.profile.region:
            refuse({"tenant.region": region_problem(edited.profile.region, self._settings.regions)})
        if edited == tenant:
            return tenant
        await lock_log(connection)
        if edited.slug != tenant.slug:
            edited = await self._renamed(connection, tenant, edited)
        changed = await repository.change(connection, edited)
        await repository.record_event(connection, tenant_id, EventType.UPDATED.value)
        return changed

    async def _renamed(self, connection: Connection, tenant: Tenant, edited: Tenant) -> Tenant:
        """Take the new slug, and let the old one lead to the tenant for the grace."""
        await refuse_more_slugs(connection, tenant.id, edited.slug)
        grace = self._settings.slug_grace
        until = await slugs_repository.retire_slug(connection, tenant.id, tenant.slug, grace)
        await slugs_repository.take_slug(connection, tenant.id, edited.slug)
        await enqueue(connection, FORMER_SLUG_JOB, former_slugs_subject(tenant.id), until)
        former = (*tenant.former_slugs, FormerSlug(tenant.slug, until))
        kept = tuple(each for each in former if each.slug != edited.slug and each.until > until - grace)
        return replace(edited, former_slugs=kept)

    async def end_former_slugs(self, tenant_id: TenantId) -> None:
        """Tell the mesh that the former slugs whose time is over no longer lead to the tenant."""
        async with self._doors.tenant(tenant_id) as connection:
            tenant = await repository.get_locked(connection, tenant_id)
            if tenant is None:
                return
            now = await slugs_repository.now(connection)
            kept = tuple(each for each in tenant.former_slugs if each.until > now)
            if kept == tenant.former_slugs:
                return
            await lock_log(connection)
            await repository.change(connection, replace(tenant, former_slugs=kept))
            await repository.record_event(connection, tenant_id, EventType.UPDATED.value)


def former_slugs_subject(tenant_id: TenantId) -> str:
    """Return the subject of the job that ends a tenant's former slugs."""
    return f"tenants/{tenant_id}/slugs"
