"""OperationService over gRPC: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from google.longrunning.operations_pb2 import Operation as OperationMessage

from tenantmesh.interceptors import CallerKind, current_call
from tenantmesh.tenant.v1 import operation_service_pb2 as pb
from tenantmesh.tenant.v1.operation_service_pb2_grpc import OperationServiceServicer
from tenantmesh.tenant_svc.operations.mapping import operation_message, seconds_of
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.operations.operations import Operations

__all__ = ["OperationServicer"]

_Context = Any  # handlers take what the call needs from current_call()
_MARGIN_SECONDS = 0.5
"""So much before the call's deadline a wait ends: late enough to be of use, early enough to be answered."""


class OperationServicer(OperationServiceServicer):
    """The chain has established who calls and for which tenant before any of these runs."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def GetOperation(self, request: pb.GetOperationRequest, _context: _Context) -> OperationMessage:
        """Returns the operation as it is."""
        return _told(await self._operations.get(current_call().tenant_id, request.operation_id))

    async def ListOperations(self, request: pb.ListOperationsRequest, _context: _Context) -> pb.ListOperationsResponse:
        """Returns a page of the tenant's operations."""
        page = await self._operations.page(current_call().tenant_id, request.page_size, request.page_token)
        return pb.ListOperationsResponse(
            operations=[_told(each) for each in page.operations], next_page_token=page.next_token
        )

    async def CancelOperation(self, request: pb.CancelOperationRequest, _context: _Context) -> OperationMessage:
        """Ends the operation, unless it has ended."""
        call = current_call()
        cancelled = await self._operations.cancel(call.tenant_id, request.operation_id, call.caller.credential_id)
        return _told(cancelled)

    async def WaitOperation(self, request: pb.WaitOperationRequest, _context: _Context) -> OperationMessage:
        """Returns the operation once it has ended, or when the time is over."""
        call = current_call()
        seconds = seconds_of(request.timeout if request.HasField("timeout") else None)
        left = call.time_remaining()
        if left is not None:
            seconds = min(seconds, left - _MARGIN_SECONDS)
        return _told(await self._operations.wait(call.tenant_id, request.operation_id, seconds))


def _told(found: Operation) -> OperationMessage:
    """What the caller may read of it."""
    return operation_message(found.for_users() if current_call().caller.kind is CallerKind.USER else found)
