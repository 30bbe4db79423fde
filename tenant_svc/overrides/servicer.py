"""The methods of EntitlementService about overrides: message in, use case, message out."""

from __future__ import annotations

from functools import partial
from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.overrides.mapping import override_draft, override_message
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["OverrideServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class OverrideServicer:
    """The methods of EntitlementService about overrides. The chain has established the caller and the tenant before any
    of these runs."""

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = overrides

    async def ListOverrides(self, request: pb.ListOverridesRequest, _context: _Context) -> pb.ListOverridesResponse:
        """Return a page of the tenant's overrides."""
        call = current_call()
        page = await self._overrides.page(call.tenant_id, request.page_size, request.page_token)
        overrides, next_token = page.as_messages(partial(override_message, viewer=Viewer.of(call.caller)))
        return pb.ListOverridesResponse(overrides=overrides, next_page_token=next_token)

    async def SetOverride(self, request: pb.SetOverrideRequest, _context: _Context) -> entitlement_pb2.Override:
        """Replace the plan's value of a feature."""
        call = current_call()
        stored = await self._overrides.set(call.tenant_id, override_draft(request), call.caller.credential_id)
        return override_message(stored, Viewer.of(call.caller))

    async def ClearOverride(self, request: pb.ClearOverrideRequest, _context: _Context) -> pb.ClearOverrideResponse:
        """Delete an override, so that the plan's value holds again."""
        call = current_call()
        await self._overrides.clear(call.tenant_id, request.feature, request.reason, call.caller.credential_id)
        return pb.ClearOverrideResponse()
