"""The use cases of deleting a tenant and of bringing it back. They open the doors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.chassis.requests import stale
from tenantmesh.interceptors.errors import FailedPrecondition
from tenantmesh.interceptors.tenants import TenantId, TenantState, no_such_tenant
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.dry_runs import kept
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants import repository, slugs_repository
from tenantmesh.tenant_svc.tenants.events import EventType
from tenantmesh.tenant_svc.tenants.kinship import adopted, looking_across, refuse_with_children
from tenantmesh.tenant_svc.tenants.refusals import refuse_more_slugs, slug_taken
from tenantmesh.tenant_svc.tenants.tenant import FormerSlug, Tenant
from tenantmesh.tenant_svc.tenants.tenants import TenantStep

__all__ = ["PURGE_JOB", "DeletionRequest", "TenantDeletions"]

PURGE_JOB = "purge_tenant"
"""The kind of job that purges a tenant, unless it was brought back. The subject is `tenants/<id>/purge`."""


ChildCheck = Callable[[TenantId], Awaitable[None]]
"""Refuses a tenant that has others below it. Called when the transaction has locked the log."""


@dataclass(frozen=True, slots=True)
class DeletionRequest:
    """How to delete a tenant.

    grace: how long it can be brought back; None for the installation's time.
    release_slug: whether other tenants may have its slugs at once.
    """

    reason: str = ""
    actor: str = ""
    etag: str = ""
    grace: timedelta | None = None
    release_slug: bool = False


class TenantDeletions:
    """The use cases. All raise Unavailable when the database can't be reached.

    on_deleted, on_undeleted: the steps of all parts of a tenant, in the transaction.
    """

    def __init__(self, doors: Doors, settings: LifeSettings, on_deleted: TenantStep, on_undeleted: TenantStep) -> None:
        self._doors = doors
        self._grace = settings.delete_grace
        self._on_deleted = on_deleted
        self._on_undeleted = on_undeleted

    async def delete(self, tenant_id: TenantId, request: DeletionRequest) -> Tenant:
        """Delete the tenant and return it. A deleted tenant stays deleted, since then, for the reason and by the actor
        of the first time; a request with a grace sets its end anew, and one with `release_slug` releases its slugs.

        Raises NotFound, Aborted `ETAG_MISMATCH`, FailedPrecondition: `DELETE_PROTECTED`, `TENANT_HAS_CHILDREN`.
        """
        async with looking_across(self._doors) as across, self._doors.tenant(tenant_id) as connection:
            return await self.delete_in(connection, tenant_id, request, partial(refuse_with_children, across))

    async def validate(self, tenant_id: TenantId, etag: str) -> Tenant:
        """Check everything that `delete` checks, and return the tenant as it is. Raises as `delete`."""
        async with looking_across(self._doors) as across, self._doors.tenant(tenant_id) as connection:
            tenant, _ = await _deletable(connection, tenant_id, etag)
            await refuse_with_children(across, tenant_id)
            return tenant

    async def delete_in(
        self, connection: Connection, tenant_id: TenantId, request: DeletionRequest, check: ChildCheck | None = None
    ) -> Tenant:
        """Do what `delete` does, in a transaction of the tenant's door. Without a check the caller has made it."""
        tenant, purging = await _deletable(connection, tenant_id, request.etag)
        if tenant.deletion is not None and (purging or (request.grace is None and not request.release_slug)):
            return tenant
        grace = self._grace if request.grace is None and tenant.deletion is None else request.grace
        await lock_log(connection)
        if check is not None:
            await check(tenant_id)
        deleted = await repository.mark_deleted(connection, tenant_id, request.reason, request.actor, grace)
        if tenant.deletion is None:
            await self._on_deleted(connection, deleted, request.actor)
        if request.release_slug:
            await slugs_repository.release_slugs(connection, tenant_id)
        await repository.record_event(connection, tenant_id, EventType.DELETED.value, request.reason)
        if grace is not None and deleted.deletion is not None:
            await enqueue(connection, PURGE_JOB, f"tenants/{tenant_id}/purge", deleted.deletion.purge_time)
        return deleted

    async def undelete(self, tenant_id: TenantId, etag: str, slug: str, actor: str, *, keep: bool = True) -> Tenant:
        """Bring the tenant back and return it, under another slug where one is given. A tenant that is not deleted
        stays as it is. Without `keep` everything is checked and nothing stays changed.

        A parent that is purged meanwhile is no longer its parent. Raises NotFound, Aborted `ETAG_MISMATCH`,
        FailedPrecondition `PURGE_UNDER_WAY`, `PARENT_DELETED`, `TOO_MANY_SLUGS`, AlreadyExists `SLUG_TAKEN`.
        """
        try:
            door = kept(self._doors.tenant(tenant_id), keep=keep)
            async with looking_across(self._doors) as across, door as connection:
                tenant = await _restorable(connection, tenant_id, etag)
                if tenant.state is not TenantState.DELETED:
                    return tenant
                await lock_log(connection)
                return await self._restored(connection, await adopted(across, tenant), slug or tenant.slug, actor)
        except UniqueViolation as violation:
            raise slug_taken() from violation

    async def _restored(self, connection: Connection, tenant: Tenant, slug: str, actor: str) -> Tenant:
        await refuse_more_slugs(connection, tenant.id, slug)
        former = await _slugs_again(connection, tenant, slug)
        back = replace(tenant, slug=slug, former_slugs=former)
        restored = await repository.mark_undeleted(connection, back)
        await self._on_undeleted(connection, restored, actor)
        await repository.record_event(connection, tenant.id, EventType.UNDELETED.value)
        return restored


async def _found(connection: Connection, tenant_id: TenantId, etag: str) -> tuple[Tenant, bool]:
    found = await repository.get_locked_deleted(connection, tenant_id)
    if found is None:
        raise no_such_tenant()
    if etag and etag != found[0].etag:
        raise stale("tenant")
    return found


async def _restorable(connection: Connection, tenant_id: TenantId, etag: str) -> Tenant:
    tenant, purging = await _found(connection, tenant_id, etag)
    if purging:
        raise FailedPrecondition(
            "PURGE_UNDER_WAY", "The tenant's data is being destroyed: it can't be brought back. Create it anew."
        )
    return tenant


async def _deletable(connection: Connection, tenant_id: TenantId, etag: str) -> tuple[Tenant, bool]:
    tenant, purging = await _found(connection, tenant_id, etag)
    if tenant.profile.delete_protection and tenant.deletion is None:
        raise FailedPrecondition(
            "DELETE_PROTECTED", "The tenant is protected. Clear delete_protection with UpdateTenant, then delete it."
        )
    return tenant, purging


async def _slugs_again(connection: Connection, tenant: Tenant, slug: str) -> tuple[FormerSlug, ...]:
    """Take the slug for the tenant, and return its former slugs that are still its own and lead to it."""
    await slugs_repository.take_slug(connection, tenant.id, slug)
    if slug != tenant.slug:
        await slugs_repository.end_slug(connection, tenant.id, tenant.slug)
    taken = {name for name, _ in await slugs_repository.slugs_of(connection, tenant.id)}
    now = await slugs_repository.now(connection)
    return tuple(each for each in tenant.former_slugs if each.slug in taken - {slug} and each.until > now)
