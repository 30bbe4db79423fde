"""BrandingService: message in, use case, message out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tenantmesh.chassis.cache_control import ServicerContext, cache_for
from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import branding_service_pb2 as pb
from tenantmesh.tenant.v1.branding_pb2 import Branding as BrandingMessage
from tenantmesh.tenant.v1.branding_service_pb2_grpc import BrandingServiceServicer
from tenantmesh.tenant_svc.branding.brandings import Brandings
from tenantmesh.tenant_svc.branding.mapping import branding_change, branding_message, shown_message
from tenantmesh.tenant_svc.branding.names import HostNames, asked_for
from tenantmesh.tenant_svc.branding.shown import ShownBrandings

__all__ = ["BrandingServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class BrandingServicer(BrandingServiceServicer):
    """The methods of BrandingService. `max_age` is how long caches may keep what anybody is shown."""

    def __init__(self, brandings: Brandings, shown: ShownBrandings, hosts: HostNames, max_age: timedelta) -> None:
        self._brandings = brandings
        self._shown = shown
        self._hosts = hosts
        self._max_age = max_age

    async def GetBranding(self, request: pb.GetBrandingRequest, context: ServicerContext) -> pb.GetBrandingResponse:
        """Return the branding for the page on which people sign in."""
        call = current_call()
        key = asked_for(
            self._hosts, slug=request.slug, host=request.host, tenant_query=call.tenant_query, own_host=call.host
        )
        shown = await self._shown.by_name(key)
        await cache_for(context, self._max_age, etag=shown.tag)
        return shown_message(shown.branding)

    async def GetTenantBranding(self, _request: pb.GetTenantBrandingRequest, _context: _Context) -> BrandingMessage:
        """Return the tenant's branding as it was set."""
        return branding_message(await self._brandings.get(current_call().tenant_id))

    async def UpdateTenantBranding(
        self, request: pb.UpdateTenantBrandingRequest, _context: _Context
    ) -> BrandingMessage:
        """Change the tenant's branding."""
        change = branding_change(request.branding, request.update_mask.paths)
        return branding_message(await self._brandings.change(current_call().tenant_id, change))

    async def GetDefaultBranding(self, _request: pb.GetDefaultBrandingRequest, _context: _Context) -> BrandingMessage:
        """Return the branding of the installation."""
        return branding_message(await self._brandings.default())

    async def UpdateDefaultBranding(
        self, request: pb.UpdateDefaultBrandingRequest, _context: _Context
    ) -> BrandingMessage:
        """Change the branding of the installation."""
        change = branding_change(request.branding, request.update_mask.paths)
        return branding_message(await self._brandings.change_default(change))
