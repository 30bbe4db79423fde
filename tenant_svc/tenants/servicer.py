"""TenantService, except for changes of plans: message in, use case, message out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from tenantmesh.chassis.event_log.streaming import start_of, streamed
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.tenants import no_such_tenant, parse_tenant_id
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_pb2 import Tenant as TenantMessage
from tenantmesh.tenant_svc.tenants.events import TenantEvent
from tenantmesh.tenant_svc.tenants.mapping import draft_message, error_message, event_message, tenant_message
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant, checked_reason
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["TenantServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class TenantServicer:
    """The methods of TenantService. The chain has established the caller and the tenant before any of these runs."""

    def __init__(self, tenants: Tenants, watch: Watch[TenantEvent]) -> None:
        self._tenants = tenants
        self._watch = watch

    async def CreateTenant(self, request: pb.CreateTenantRequest, _context: _Context) -> TenantMessage:
        """Create a tenant, once per request id."""
        new = NewTenant.checked(slug=request.slug, display_name=request.display_name, plan_id=request.plan_id)
        caller = current_call().caller
        actor, key = caller.credential_id, RequestKey.checked(caller, request.request_id)
        if not request.validate_only:
            return _message(await self._tenants.create(new, key, actor))
        made = await self._tenants.validate(new, key)
        return draft_message(made) if isinstance(made, NewTenant) else _message(made)

    async def GetTenant(self, _request: pb.GetTenantRequest, _context: _Context) -> TenantMessage:
        """Return the tenant that the chain has resolved from the request's id."""
        return _message(await self._tenants.get(current_call().tenant_id))

    async def ListTenants(self, request: pb.ListTenantsRequest, _context: _Context) -> pb.ListTenantsResponse:
        """Return a page of tenants."""
        page = await self._tenants.page(request.page_size, request.page_token)
        tenants, next_token = page.as_messages(_message)
        return pb.ListTenantsResponse(tenants=tenants, next_page_token=next_token)

    async def ResolveTenant(self, request: pb.ResolveTenantRequest, _context: _Context) -> TenantMessage:
        """Return the tenant of an id or a slug."""
        tenant = await self._resolve(request)
        if tenant is None:
            raise no_such_tenant()
        return _message(tenant)

    async def _resolve(self, request: pb.ResolveTenantRequest) -> Tenant | None:
        match request.WhichOneof("selector"):
            case "slug":
                return await self._tenants.find_by_slug(request.slug)
            case "tenant_id":
                tenant_id = parse_tenant_id(request.tenant_id)
                return None if tenant_id is None else await self._tenants.find(tenant_id)
        raise InvalidArgument.fields([FieldViolation("tenant_id", "either tenant_id or slug is required")])

    async def SuspendTenant(self, request: pb.SuspendTenantRequest, _context: _Context) -> TenantMessage:
        """Stop serving the tenant."""
        call, reason = current_call(), checked_reason(request.reason)
        return _message(await self._tenants.suspend(call.tenant_id, reason, request.etag, call.caller.credential_id))

    async def ResumeTenant(self, request: pb.ResumeTenantRequest, _context: _Context) -> TenantMessage:
        """Serve the tenant again."""
        return _message(await self._tenants.resume(current_call().tenant_id, request.etag))

    async def WatchTenants(
        self, request: pb.WatchTenantsRequest, _context: _Context
    ) -> AsyncIterator[pb.WatchTenantsResponse]:
        """Stream the events of tenants."""
        changes = self._watch.follow(start_of(request, request.WhichOneof("start")))
        message_of = partial(event_message, viewer=Viewer.of(current_call().caller))
        async with aclosing(streamed(changes, message_of, error_message)) as messages:
            async for message in messages:
                yield message


def _message(tenant: Tenant) -> TenantMessage:
    """Return the tenant as the caller sees it."""
    return tenant_message(tenant, Viewer.of(current_call().caller))
