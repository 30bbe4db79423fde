"""The methods of EntitlementService about grants: message in, use case, message out."""

from __future__ import annotations

from functools import partial
from typing import Any

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.tenants import parse_uuid
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.grants.grants import Grants, grant_not_found
from tenantmesh.tenant_svc.grants.mapping import grant_draft, grant_message
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["GrantServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class GrantServicer:
    """The methods of EntitlementService about grants. The chain has established the caller and the tenant before any of
    these runs."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    async def CreateGrant(self, request: pb.CreateGrantRequest, _context: _Context) -> entitlement_pb2.Grant:
        """Add to an allowance, once per request id."""
        call = current_call()
        actor = call.caller.credential_id
        key = RequestKey.checked(call.caller, request.request_id)
        made = await self._grants.create(call.tenant_id, grant_draft(request.grant), key, actor)
        return grant_message(made, Viewer.of(call.caller))

    async def ListGrants(self, request: pb.ListGrantsRequest, _context: _Context) -> pb.ListGrantsResponse:
        """Return a page of the tenant's grants."""
        call = current_call()
        page = await self._grants.page(call.tenant_id, request.feature, request.page_size, request.page_token)
        grants, next_token = page.as_messages(partial(grant_message, viewer=Viewer.of(call.caller)))
        return pb.ListGrantsResponse(grants=grants, next_page_token=next_token)

    async def VoidGrant(self, request: pb.VoidGrantRequest, _context: _Context) -> entitlement_pb2.Grant:
        """End a grant now."""
        call = current_call()
        grant_id = parse_uuid(request.grant_id)
        if grant_id is None:
            raise grant_not_found()
        voided = await self._grants.void(call.tenant_id, grant_id, request.reason, call.caller.credential_id)
        return grant_message(voided, Viewer.of(call.caller))
