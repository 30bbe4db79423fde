"""The methods of EntitlementService that check and explain: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.checks import mapping
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["CheckServicer"]

_Context = Any  # handlers take what the call needs from current_call()
_MOST_CHECKS = 1000


class CheckServicer:
    """The methods of EntitlementService that check and explain. The chain has established the caller and the tenant
    before any of these runs."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks

    async def CheckEntitlement(self, request: pb.CheckEntitlementRequest, _context: _Context) -> pb.Decision:
        """Decide whether the tenant may use a feature."""
        _, decision = await self._checks.check(current_call().tenant_id, mapping.check_of(request))
        return mapping.decision_message(decision)

    async def BatchCheckEntitlements(
        self, request: pb.BatchCheckEntitlementsRequest, _context: _Context
    ) -> pb.BatchCheckEntitlementsResponse:
        """Answer each check by itself."""
        fits = 1 <= len(request.checks) <= _MOST_CHECKS
        refuse({"checks": None if fits else f"must be 1 to {_MOST_CHECKS} checks"})
        answers = await self._checks.check_many([mapping.check_of(check) for check in request.checks])
        return pb.BatchCheckEntitlementsResponse(results=mapping.result_messages(answers))

    async def ExplainEntitlement(
        self, request: pb.ExplainEntitlementRequest, _context: _Context
    ) -> pb.ExplainEntitlementResponse:
        """Explain whether the tenant may use a feature."""
        call = current_call()
        viewer = Viewer.of(call.caller)
        found = await self._checks.explain(call.tenant_id, request.feature, every_plan=viewer.every_plan)
        return mapping.explanation_message(found, viewer)
