"""SetupLinkService: message in, use case, message out."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from tenantmesh.chassis.cache_control import ServicerContext, forbid_caching
from tenantmesh.chassis.moments import time_span
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.caller import Caller
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.roles import holds
from tenantmesh.tenant.v1 import setup_link_service_pb2 as pb
from tenantmesh.tenant.v1.setup_link_pb2 import SetupLink as SetupLinkMessage
from tenantmesh.tenant.v1.setup_link_service_pb2_grpc import SetupLinkServiceServicer
from tenantmesh.tenant_svc.setup_links.makers import LinkMaker
from tenantmesh.tenant_svc.setup_links.mapping import (
    intent_of,
    link_message,
    redeemed_message,
    shown_link_message,
)
from tenantmesh.tenant_svc.setup_links.setup_link import NewSetupLink
from tenantmesh.tenant_svc.setup_links.setup_links import SetupLinks
from tenantmesh.tenant_svc.setup_links.steps import SetupSteps
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["SetupLinkServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class SetupLinkServicer(SetupLinkServiceServicer):
    """The methods of SetupLinkService.

    page: the address of the page that links lead to. lifetime: that of a link whose request names none.
    """

    def __init__(self, links: SetupLinks, steps: SetupSteps, page: str, lifetime: timedelta) -> None:
        self._links = links
        self._steps = steps
        self._page = page
        self._lifetime = lifetime

    async def CreateSetupLink(
        self, request: pb.CreateSetupLinkRequest, context: ServicerContext
    ) -> pb.CreateSetupLinkResponse:
        """Make a link."""
        call = current_call()
        new = self._new(request)
        _refuse_without(call.caller, self._steps[new.intent].permission)
        link, token = await self._links.create(call.tenant_id, new, LinkMaker.of(call.caller))
        await forbid_caching(context)
        return pb.CreateSetupLinkResponse(
            setup_link=link_message(link, Viewer.of(call.caller)), uri=f"{self._page}#{token.text}", token=token.text
        )

    def _new(self, request: pb.CreateSetupLinkRequest) -> NewSetupLink:
        lifetime = time_span(request.lifetime) if request.HasField("lifetime") else self._lifetime
        intent = intent_of(request.intent)
        known = intent if intent in self._steps else None
        return NewSetupLink.checked(intent=known, note=request.note, lifetime=lifetime)

    async def GetSetupLink(self, request: pb.GetSetupLinkRequest, context: ServicerContext) -> pb.GetSetupLinkResponse:
        """Return what a link is for."""
        link, display_name = await self._links.look_up(request.token)
        await forbid_caching(context)
        return shown_link_message(link, display_name)

    async def RedeemSetupLink(
        self, request: pb.RedeemSetupLinkRequest, context: ServicerContext
    ) -> pb.RedeemSetupLinkResponse:
        """Do the step of a link."""
        link, result = await self._links.redeem(request.token, request.name)
        await forbid_caching(context)
        return redeemed_message(link, result)

    async def ListSetupLinks(self, request: pb.ListSetupLinksRequest, _context: _Context) -> pb.ListSetupLinksResponse:
        """Return a page of the tenant's links."""
        call = current_call()
        page = await self._links.page(call.tenant_id, request.page_size, request.page_token)
        links, next_token = page.as_messages(partial(link_message, viewer=Viewer.of(call.caller)))
        return pb.ListSetupLinksResponse(setup_links=links, next_page_token=next_token)

    async def RevokeSetupLink(self, request: pb.RevokeSetupLinkRequest, _context: _Context) -> SetupLinkMessage:
        """Make a link useless."""
        call = current_call()
        revoked = await self._links.revoke(call.tenant_id, request.setup_link_id)
        return link_message(revoked, Viewer.of(call.caller))


def _refuse_without(caller: Caller, permission: str) -> None:
    """Refuse a caller that may not do the step itself: a link must not give more than its maker has."""
    if not holds(caller, permission):
        raise PermissionDenied(
            "PERMISSION_MISSING",
            f"The credential lacks the permission {permission}, which the step of this link needs. Ask an "
            "administrator for a role that has it.",
            metadata={"permission": permission},
        )
