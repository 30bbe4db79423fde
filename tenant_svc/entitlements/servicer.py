"""GetEntitlements of EntitlementService: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import entitlement_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.entitlements.mapping import entitlements_message

__all__ = ["EntitlementServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class EntitlementServicer:
    """GetEntitlements of EntitlementService. The chain has established the caller and the tenant before it runs."""

    def __init__(self, entitlements: EntitlementQueries) -> None:
        self._entitlements = entitlements

    async def GetEntitlements(
        self, request: pb.GetEntitlementsRequest, _context: _Context
    ) -> entitlement_pb2.Entitlements:
        """Return all entitlements of the tenant."""
        tenant_id = current_call().tenant_id
        if request.view == pb.ENTITLEMENT_VIEW_BASIC:
            return entitlements_message(await self._entitlements.get(tenant_id), with_usage=False)
        return entitlements_message(await self._entitlements.standing(tenant_id), with_usage=True)
