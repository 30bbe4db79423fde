"""MigrateTenantPlan of TenantService: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from google.longrunning.operations_pb2 import Operation as OperationMessage

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant_svc.operations.mapping import operation_message
from tenantmesh.tenant_svc.plan_changes.mapping import PlanChangeMessages, plan_change_of
from tenantmesh.tenant_svc.plan_changes.plan_changes import PlanChanges, Request
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["PlanChangeServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class PlanChangeServicer:
    """The methods of TenantService about changes of plans. The chain has established the caller and the tenant before
    any of these runs."""

    def __init__(self, plan_changes: PlanChanges) -> None:
        self._plan_changes = plan_changes

    async def MigrateTenantPlan(self, request: pb.MigrateTenantPlanRequest, _context: _Context) -> OperationMessage:
        """Start to put the tenant on another plan, or return the outcome that this would have."""
        call = current_call()
        key = RequestKey.checked(call.caller, request.request_id)
        asked = Request(plan_change_of(request), call.caller.credential_id, key, request.etag)
        begin = self._plan_changes.validate if request.validate_only else self._plan_changes.start
        operation = await begin(call.tenant_id, asked)
        return operation_message(operation, PlanChangeMessages(), Viewer.of(call.caller))
