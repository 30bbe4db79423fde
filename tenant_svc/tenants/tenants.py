"""The use cases of tenants: create, find, list, suspend, resume. They open the doors and use neither gRPC nor SQL.

Changes of a tenant are in `updates`, its end is in `deletions`.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey, refuse, required
from tenantmesh.interceptors.errors import AlreadyExists, NotFound
from tenantmesh.interceptors.tenants import TenantId, TenantState, is_slug, no_such_tenant
from tenantmesh.runtime.database import Connection, UniqueViolation
from tenantmesh.tenant_svc.plans.plans import plan_for_tenants
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants import creations_repository, directory_repository, repository
from tenantmesh.tenant_svc.tenants.events import EventType
from tenantmesh.tenant_svc.tenants.invitations import Invitations
from tenantmesh.tenant_svc.tenants.kinship import looking_across, refuse_parent
from tenantmesh.tenant_svc.tenants.profile import region_problem
from tenantmesh.tenant_svc.tenants.refusals import external_id_taken, locked, name_taken, parent_not_found, slug_taken
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant

__all__ = ["CreationStep", "TenantStep", "Tenants"]

TenantStep = Callable[[Connection, Tenant, str], Awaitable[None]]
"""Called in the transaction that deletes or restores a tenant, with the credential that asked for it."""
CreationStep = Callable[[Connection, Sequence[Tenant], str], Awaitable[None]]
"""Called in the transaction that creates tenants, with the credential that asked for them."""
MOST_LEVELS = 5
"""Tenants that may be one below the other."""
_LONGEST_HOST = 253


class Tenants:
    """The use cases. All raise Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs."""

    def __init__(
        self,
        doors: Doors,
        new_id: Callable[[], uuid.UUID],
        on_created: CreationStep,
        settings: LifeSettings,
        invitations: Invitations | None = None,
    ) -> None:
        self._doors = doors
        self._new_id = new_id
        self._on_created = on_created
        self._regions = settings.regions
        self._invitations = invitations

    async def create(self, new: NewTenant, key: RequestKey | None, actor: str = "") -> Tenant:
        """Create the tenant. A repeated request gets the tenant that it created the first time. `actor` is the
        credential that asks.

        The tenant pins the newest published version of its plan. Raises AlreadyExists: `SLUG_TAKEN`,
        `EXTERNAL_ID_TAKEN`, or `REQUEST_ID_REUSED` for a key used with other fields; NotFound: `PLAN_NOT_FOUND`,
        `PARENT_NOT_FOUND`; and InvalidArgument for a region that there is not, or a parent too deep.
        """
        made = await self._made_by(new, key)
        if made is not None:
            return made
        await self.check_place(new)
        try:
            return await self._store(TenantId(self._new_id()), new, key, actor)
        except (UniqueViolation, NotFound) as refusal:
            # The same request at the same time may have made the tenant: the slug is its own, its plan archived since.
            made = await self._made_by(new, key)
            if made is not None:
                return made
            if isinstance(refusal, NotFound):
                raise
            raise name_taken(refusal) from refusal

    async def validate(self, new: NewTenant, key: RequestKey | None) -> Tenant | NewTenant:
        """Check everything that `create` checks, without creating. Return the tenant that the request has created
        already, or the one that it would create. Raises as `create`."""
        made = await self._made_by(new, key)
        if made is not None:
            return made
        await self.check_place(new)
        async with self._doors.system("validate a new tenant", read_only=True) as connection:
            plan = await plan_for_tenants(connection, new.plan_id)
            if await directory_repository.slug_taken(connection, new.slug):
                raise slug_taken()
            external_id = new.profile.external_id
            if external_id and await directory_repository.holder_of(connection, external_id) is not None:
                raise external_id_taken()
        return replace(new, plan_id=plan.id)

    async def get(self, tenant_id: TenantId) -> Tenant:
        """Return the tenant, deleted or not. Raises NotFound."""
        tenant = await repository.get(self._doors, tenant_id)
        if tenant is None:
            raise no_such_tenant()
        return tenant

    async def find(self, tenant_id: uuid.UUID) -> Tenant | None:
        """Return the tenant with that id, deleted or not, or None, for callers that are not bound to one."""
        reason = "resolve a tenant by id"
        async with self._doors.system(reason, on_behalf_of=tenant_id, read_only=True) as connection:
            return await directory_repository.by_id(connection, tenant_id)

    async def find_by_name(self, name: str) -> Tenant | None:
        """Return the tenant, deleted or not, to which a slug or a login host leads; None without one. A former slug
        leads to its tenant in its time. A text that can be neither costs no query."""
        host = "." in name and len(name) <= _LONGEST_HOST
        if not host and not is_slug(name):
            return None
        async with self._doors.system("resolve a tenant by name", read_only=True) as connection:
            find = directory_repository.by_host if host else directory_repository.by_slug
            return await find(connection, name)

    async def suspend(self, tenant_id: TenantId, reason: str, etag: str, actor: str = "") -> Tenant:
        """Stop serving the tenant, for the credential `actor`. A suspended tenant keeps its first reason.

        Raises NotFound, Aborted `ETAG_MISMATCH`.
        """
        async with self._doors.tenant(tenant_id) as connection:
            return await self.suspend_in(connection, tenant_id, reason, etag, actor)

    async def suspend_in(
        self, connection: Connection, tenant_id: TenantId, reason: str, etag: str, actor: str
    ) -> Tenant:
        """Do what `suspend` does, in a transaction that sees the tenant."""
        tenant = await locked(connection, tenant_id, etag)
        if tenant.state is TenantState.SUSPENDED:
            return tenant
        await lock_log(connection)
        changed = await repository.suspend(connection, tenant_id, reason, actor)
        await repository.record_event(connection, tenant_id, EventType.SUSPENDED.value, reason)
        return changed

    async def resume(self, tenant_id: TenantId, etag: str) -> Tenant:
        """Serve the tenant again. An active tenant stays as it is. Raises NotFound, Aborted `ETAG_MISMATCH`."""
        async with self._doors.tenant(tenant_id) as connection:
            tenant = await locked(connection, tenant_id, etag)
            if tenant.state is TenantState.ACTIVE:
                return tenant
            await lock_log(connection)
            changed = await repository.resume(connection, tenant_id)
            await repository.record_event(connection, tenant_id, EventType.RESUMED.value)
        return changed

    async def check_place(self, new: NewTenant) -> None:
        """Raise for a region that the installation does not have, and for a parent that is missing or too deep."""
        refuse({"region": region_problem(new.profile.region, self._regions)})
        parent = new.profile.parent_id
        for level in range(1, MOST_LEVELS + 1):
            if parent is None:
                return
            above = await self.find(parent)
            if level == 1 and (above is None or above.state is TenantState.DELETED):
                raise parent_not_found()
            parent = None if above is None else above.profile.parent_id
        refuse({"parent_id": f"must leave at most {MOST_LEVELS} tenants one below the other"})

    async def _store(self, tenant_id: TenantId, new: NewTenant, key: RequestKey | None, actor: str) -> Tenant:
        parent = new.profile.parent_id
        beside = nullcontext() if parent is None else looking_across(self._doors)
        async with beside as across, self._doors.tenant(tenant_id) as connection:
            await lock_log(connection)
            if parent is not None:
                await refuse_parent(required(across), parent)
            # After the lock: versions are archived under it, so the tenant pins none that was just archived.
            plan = await plan_for_tenants(connection, new.plan_id)
            pinned = (tenant_id, replace(new, plan_id=plan.id), plan.version)
            (tenant,) = await self.create_in(connection, [pinned], actor)
            if key is not None:
                await repository.remember_request(connection, tenant_id, key, new.digest)
        return tenant

    async def create_in(
        self, connection: Connection, new: Sequence[tuple[TenantId, NewTenant, int]], actor: str
    ) -> list[Tenant]:
        """Create the tenants, each with its id and the version of its plan, in a transaction that has locked the log.
        Return them in the order of their ids.

        The transaction is that of the one tenant's door, or of the system door. Raises UniqueViolation for a taken
        name.
        """
        created = await creations_repository.create(connection, new)
        await self._on_created(connection, created, actor)
        firsts = [(tenant_id, each.first_administrator_email) for tenant_id, each, _ in new]
        await self._invite(connection, firsts, actor)
        return created

    async def _invite(self, connection: Connection, firsts: Sequence[tuple[TenantId, str]], actor: str) -> None:
        """Request the invitations of first administrators, in the transaction that creates their tenants."""
        wanted = [(tenant_id, email) for tenant_id, email in firsts if email]
        if wanted:
            await required(self._invitations).request(connection, wanted, actor)

    async def _made_by(self, new: NewTenant, key: RequestKey | None) -> Tenant | None:
        if key is None:
            return None
        async with self._doors.system("find the tenant of a repeated request", read_only=True) as connection:
            made = await directory_repository.made_by(connection, key)
        if made is None:
            return None
        digest, tenant = made
        if digest != new.digest or tenant.state is TenantState.DELETED:
            raise AlreadyExists(
                "REQUEST_ID_REUSED",
                "This request_id has created another tenant, or one that was deleted. Send a new one.",
            )
        return tenant
