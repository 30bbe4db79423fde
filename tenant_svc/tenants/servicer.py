"""TenantService, except for changes of plans: message in, use case, message out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from tenantmesh.chassis.event_log.streaming import start_of, streamed
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.chassis.requests import RequestKey, refuse
from tenantmesh.interceptors import CallerKind, current_call
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.hosts import host_name
from tenantmesh.interceptors.tenants import TenantRecord, TenantState, is_slug, no_such_tenant, parse_tenant_id
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_pb2 import Tenant as TenantMessage
from tenantmesh.tenant_svc.tenants.content import Contents
from tenantmesh.tenant_svc.tenants.deletions import TenantDeletions
from tenantmesh.tenant_svc.tenants.events import TenantEvent
from tenantmesh.tenant_svc.tenants.mapping import (
    content_message,
    deletion_of,
    draft_message,
    edit_of,
    error_message,
    event_message,
    list_message,
    new_tenant_of,
    query_of,
    tenant_message,
)
from tenantmesh.tenant_svc.tenants.slugs import slug_problem
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant, checked_reason
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["TenantServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class TenantServicer:
    """The methods of TenantService. The chain has established the caller and the tenant before any of these runs.

    forget: has the directory of this process forget a tenant that was changed here, so that the next call sees the
    change. The events of the change reach it later.
    """

    def __init__(
        self,
        tenants: Tenants,
        lists: TenantLists,
        updates: TenantUpdates,
        deletions: TenantDeletions,
        contents: Contents,
        watch: Watch[TenantEvent],
        forget: Callable[[TenantRecord], None],
    ) -> None:
        self._tenants = tenants
        self._lists = lists
        self._contents = contents
        self._updates = updates
        self._deletions = deletions
        self._watch = watch
        self._forget = forget

    async def CreateTenant(self, request: pb.CreateTenantRequest, _context: _Context) -> TenantMessage:
        """Create a tenant, once per request id."""
        new, caller = new_tenant_of(request), current_call().caller
        actor, key = caller.credential_id, RequestKey.checked(caller, request.request_id)
        if not request.validate_only:
            return self._changed(await self._tenants.create(new, key, actor))
        made = await self._tenants.validate(new, key)
        return draft_message(made) if isinstance(made, NewTenant) else _message(made)

    async def GetTenant(self, _request: pb.GetTenantRequest, _context: _Context) -> TenantMessage:
        """Return the tenant that the chain has resolved from the request's id."""
        call = current_call()
        tenant = await self._tenants.get(call.tenant_id)
        if tenant.state is TenantState.DELETED and not Viewer.of(call.caller).deleted:
            raise no_such_tenant()  # deleted since the chain has let the call pass
        return _message(tenant)

    async def UpdateTenant(self, request: pb.UpdateTenantRequest, _context: _Context) -> TenantMessage:
        """Change the tenant's fields."""
        call = current_call()
        if request.tenant.id and parse_tenant_id(request.tenant.id) != call.tenant_id:
            raise InvalidArgument.fields([FieldViolation("tenant.id", "must be that of the tenant in the path")])
        edit = edit_of(request, by_user=call.caller.kind is CallerKind.USER)
        return self._changed(await self._updates.update(call.tenant_id, edit, keep=not request.validate_only))

    async def DeleteTenant(self, request: pb.DeleteTenantRequest, _context: _Context) -> pb.DeleteTenantResponse:
        """Delete the tenant."""
        call = current_call()
        deletion = deletion_of(request, call.caller.credential_id)
        if not request.validate_only:
            deleted = await self._deletions.delete(call.tenant_id, deletion)
            return pb.DeleteTenantResponse(tenant=self._changed(deleted))
        tenant = await self._deletions.validate(call.tenant_id, deletion.etag)
        contents = map(content_message, await self._contents(call.tenant_id))
        return pb.DeleteTenantResponse(tenant=_message(tenant), contents=contents)

    async def UndeleteTenant(self, request: pb.UndeleteTenantRequest, _context: _Context) -> TenantMessage:
        """Bring the tenant back."""
        call = current_call()
        refuse({"slug": slug_problem(request.slug) if request.slug else None})
        return self._changed(
            await self._deletions.undelete(
                call.tenant_id, request.etag, request.slug, call.caller.credential_id, keep=not request.validate_only
            )
        )

    async def ListTenants(self, request: pb.ListTenantsRequest, _context: _Context) -> pb.ListTenantsResponse:
        """Return a page of the tenants that match the filter."""
        query = query_of(request, Viewer.of(current_call().caller))
        page = await self._lists.page(query, request.page_size, request.page_token)
        total = await self._lists.total(query) if request.include_total_size else None
        return list_message(*page.as_messages(_message), total)

    async def ResolveTenant(self, request: pb.ResolveTenantRequest, _context: _Context) -> TenantMessage:
        """Return the tenant of an id or a slug."""
        tenant = await self._resolve(request)
        if tenant is None or tenant.state is TenantState.DELETED:
            raise no_such_tenant()
        return _message(tenant)

    async def _resolve(self, request: pb.ResolveTenantRequest) -> Tenant | None:
        match request.WhichOneof("selector"):
            case "slug":
                return await self._tenants.find_by_name(request.slug) if is_slug(request.slug) else None
            case "host":
                host = host_name(request.host, "")
                return None if host is None else await self._tenants.find_by_name(host.text)
            case "tenant_id":
                tenant_id = parse_tenant_id(request.tenant_id)
                return None if tenant_id is None else await self._tenants.find(tenant_id)
        raise InvalidArgument.fields(
            [FieldViolation("tenant_id", "exactly one of tenant_id, slug and host is required")]
        )

    async def SuspendTenant(self, request: pb.SuspendTenantRequest, _context: _Context) -> TenantMessage:
        """Stop serving the tenant."""
        call, reason = current_call(), checked_reason(request.reason)
        return self._changed(
            await self._tenants.suspend(call.tenant_id, reason, request.etag, call.caller.credential_id)
        )

    async def ResumeTenant(self, request: pb.ResumeTenantRequest, _context: _Context) -> TenantMessage:
        """Serve the tenant again."""
        return self._changed(await self._tenants.resume(current_call().tenant_id, request.etag))

    async def WatchTenants(
        self, request: pb.WatchTenantsRequest, _context: _Context
    ) -> AsyncIterator[pb.WatchTenantsResponse]:
        """Stream the events of tenants."""
        changes = self._watch.follow(start_of(request, request.WhichOneof("start")))
        message_of = partial(event_message, viewer=Viewer.of(current_call().caller))
        async with aclosing(streamed(changes, message_of, error_message)) as messages:
            async for message in messages:
                yield message

    def _changed(self, tenant: Tenant) -> TenantMessage:
        """Return a tenant that was changed here, as the caller sees it."""
        self._forget(tenant.record)
        return _message(tenant)


def _message(tenant: Tenant) -> TenantMessage:
    """Return the tenant as the caller sees it."""
    return tenant_message(tenant, Viewer.of(current_call().caller))
