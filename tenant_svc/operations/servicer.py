"""OperationService over gRPC: message in, use case, message out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.longrunning.operations_pb2 import Operation as OperationMessage

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import operation_service_pb2 as pb
from tenantmesh.tenant_svc.operations.mapping import OperationMessages, operation_message, seconds_of
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["OperationServicer"]

_Context = Any  # handlers take what the call needs from current_call()
_MARGIN_SECONDS = 0.5
"""The time between the end of a wait and the call's deadline, so that the answer still arrives."""


class OperationServicer:
    """The methods of OperationService. The chain has established the caller and the tenant before any of these runs.

    messages: the messages of each type of operation.
    """

    def __init__(self, operations: Operations, messages: Mapping[str, OperationMessages]) -> None:
        self._operations = operations
        self._messages = messages

    async def GetOperation(self, request: pb.GetOperationRequest, _context: _Context) -> OperationMessage:
        """Return the operation."""
        return self._message(await self._operations.get(current_call().tenant_id, request.operation_id))

    async def ListOperations(self, request: pb.ListOperationsRequest, _context: _Context) -> pb.ListOperationsResponse:
        """Return a page of the tenant's operations."""
        page = await self._operations.page(current_call().tenant_id, request.page_size, request.page_token)
        operations, next_token = page.as_messages(self._message)
        return pb.ListOperationsResponse(operations=operations, next_page_token=next_token)

    async def CancelOperation(self, request: pb.CancelOperationRequest, _context: _Context) -> OperationMessage:
        """End the operation, unless it has ended."""
        call = current_call()
        cancelled = await self._operations.cancel(call.tenant_id, request.operation_id, call.caller.credential_id)
        return self._message(cancelled)

    async def WaitOperation(self, request: pb.WaitOperationRequest, _context: _Context) -> OperationMessage:
        """Return the operation once it has ended, or its state when the time is over."""
        call = current_call()
        seconds = seconds_of(request.timeout if request.HasField("timeout") else None)
        left = call.time_remaining()
        if left is not None:
            seconds = min(seconds, left - _MARGIN_SECONDS)
        return self._message(await self._operations.wait(call.tenant_id, request.operation_id, seconds))

    def _message(self, operation: Operation) -> OperationMessage:
        """Return the operation as the caller sees it."""
        return operation_message(operation, self._messages.get(operation.type), Viewer.of(current_call().caller))
