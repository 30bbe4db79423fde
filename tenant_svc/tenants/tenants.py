"""What can be done with tenants: create, find, list, suspend, resume. Knows neither gRPC nor SQL; opens the doors."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import Aborted, AlreadyExists, FieldViolation, InvalidArgument, NotFound
from tenantmesh.interceptors.tenants import TenantId, TenantState, is_slug
from tenantmesh.runtime.database import UniqueViolation
from tenantmesh.tenant_svc.entitlements import repository as entitlements
from tenantmesh.tenant_svc.plans.plans import plan_for_tenants
from tenantmesh.tenant_svc.tenants import repository
from tenantmesh.tenant_svc.tenants.cursors import open_page_token, page_token
from tenantmesh.tenant_svc.tenants.events import EventType
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, RequestKey, Tenant

__all__ = ["Page", "Tenants", "not_found"]

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
_NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Page:
    """Some tenants, and the token of the page after them; empty when they are the last."""

    tenants: list[Tenant]
    next_token: str


class Tenants:
    """The use cases. All raise Unavailable when the database can't be reached. `new_id` makes time-ordered UUIDs."""

    def __init__(self, doors: Doors, new_id: Callable[[], uuid.UUID]) -> None:
        self._doors = doors
        self._new_id = new_id

    async def create(self, new: NewTenant, key: RequestKey | None, actor: str = "") -> Tenant:
        """Creates the tenant; a request that is repeated gets the tenant that it made the first time. `actor` is the
        credential that asks.

        It pins the newest published version of its plan. Raises AlreadyExists: `SLUG_TAKEN`, or `REQUEST_ID_REUSED` for
        a key used with other fields; and NotFound `PLAN_NOT_FOUND`.
        """
        try:
            return await self._store(TenantId(self._new_id()), new, key, actor)
        except (UniqueViolation, NotFound) as refusal:
            # Whichever constraint spoke first: where the request is a repetition, its slug is taken by itself. And its
            # plan may have been archived since.
            made = await self._made_by(new, key)
            if made is not None:
                return made
            if isinstance(refusal, NotFound):
                raise
            raise _slug_taken() from refusal

    async def validate(self, new: NewTenant, key: RequestKey | None) -> Tenant | None:
        """Checks what `create` would, without creating: returns the tenant that the request has made already, or None
        where it would make a new one. Raises what `create` does."""
        made = await self._made_by(new, key)
        if made is not None:
            return made
        async with self._doors.system("whether a tenant could be created", read_only=True) as connection:
            await plan_for_tenants(connection, new.plan_id)
            if await repository.slug_taken(connection, new.slug):
                raise _slug_taken()
        return None

    async def get(self, tenant_id: TenantId) -> Tenant:
        """The tenant. Raises NotFound."""
        tenant = await repository.get(self._doors, tenant_id)
        if tenant is None:
            raise not_found()
        return tenant

    async def page(self, size: int, token: str) -> Page:
        """Tenants, oldest first, from where the token says. Raises InvalidArgument for a token that is none of ours."""
        size, after = _checked_page(size, token)
        async with self._doors.system("list tenants", read_only=True) as connection:
            found = await repository.page(connection, after, size + 1)
        more = len(found) > size
        return Page(found[:size], page_token(found[size - 1].id) if more else "")

    async def find(self, tenant_id: uuid.UUID) -> Tenant | None:
        """The tenant with that id, for callers that are not bound to one."""
        async with self._doors.system("resolve a tenant by id", read_only=True) as connection:
            return await repository.by_id(connection, tenant_id)

    async def find_by_slug(self, slug: str) -> Tenant | None:
        """The tenant with that slug. Anything may be asked: what can't be a slug costs no query."""
        if not is_slug(slug):
            return None
        async with self._doors.system("resolve a tenant by slug", read_only=True) as connection:
            return await repository.by_slug(connection, slug)

    async def suspend(self, tenant_id: TenantId, reason: str, etag: str) -> Tenant:
        """Stops serving the tenant; a suspended one stays as it is. Raises NotFound, Aborted `ETAG_MISMATCH`."""
        return await self._change(tenant_id, TenantState.SUSPENDED, EventType.SUSPENDED, reason, etag)

    async def resume(self, tenant_id: TenantId, etag: str) -> Tenant:
        """Serves the tenant again; an active one stays as it is. Raises NotFound, Aborted `ETAG_MISMATCH`."""
        return await self._change(tenant_id, TenantState.ACTIVE, EventType.RESUMED, "", etag)

    async def _store(self, tenant_id: TenantId, new: NewTenant, key: RequestKey | None, actor: str) -> Tenant:
        async with self._doors.tenant(tenant_id) as connection:
            await repository.lock_log(connection)
            # After the lock: versions are published and archived under it, so none is pinned that was just archived.
            plan = await plan_for_tenants(connection, new.plan_id)
            tenant = await repository.create(connection, tenant_id, new, plan.version)
            if key is not None:
                await repository.remember_request(connection, tenant_id, key, new.digest)
            await repository.record_event(connection, tenant_id, EventType.CREATED.value)
            # So that whoever follows entitlements from a snapshot meets the tenants that come after it.
            await entitlements.record(
                connection,
                tenant_id,
                type="PLAN_CHANGED",
                feature="",
                actor=actor,
                reason="",
                before="",
                after=f"{plan.id}@{plan.version}",
            )
        return tenant

    async def _made_by(self, new: NewTenant, key: RequestKey | None) -> Tenant | None:
        if key is None:
            return None
        async with self._doors.system("what a repeated request has made", read_only=True) as connection:
            made = await repository.made_by(connection, key)
        if made is None:
            return None
        digest, tenant = made
        if digest != new.digest or tenant.state is TenantState.DELETED:
            raise AlreadyExists(
                "REQUEST_ID_REUSED", "This request_id has made another tenant, or one that is gone. Send a new one."
            )
        return tenant

    async def _change(
        self, tenant_id: TenantId, state: TenantState, event: EventType, reason: str, etag: str
    ) -> Tenant:
        async with self._doors.tenant(tenant_id) as connection:
            tenant = await repository.get_locked(connection, tenant_id)
            if tenant is None:
                raise not_found()
            if etag and etag != tenant.etag:
                raise Aborted("ETAG_MISMATCH", "The tenant has changed since it was read. Read it again and repeat.")
            if tenant.state is state:
                return tenant
            await repository.lock_log(connection)
            changed = await repository.set_state(connection, tenant_id, state)
            await repository.record_event(connection, tenant_id, event.value, reason)
        return changed


def _checked_page(size: int, token: str) -> tuple[int, uuid.UUID]:
    if size < 0:
        raise InvalidArgument.fields([FieldViolation("page_size", "must not be negative")])
    try:
        after = open_page_token(token) if token else _NOBODY
    except ValueError as error:
        violation = FieldViolation("page_token", "must be the next_page_token of the page before, unchanged")
        raise InvalidArgument.fields([violation]) from error
    return min(size or DEFAULT_PAGE, LARGEST_PAGE), after


def _slug_taken() -> AlreadyExists:
    return AlreadyExists("SLUG_TAKEN", "Another tenant has this slug. Choose another.")


def not_found() -> NotFound:
    """The error for a tenant that is missing, deleted or foreign: word for word what the chain says."""
    return NotFound("TENANT_NOT_FOUND", "No such tenant. Check the id or slug.")
