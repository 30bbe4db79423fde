"""OperationService over gRPC: message in, use case, message out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.longrunning.operations_pb2 import Operation as OperationMessage

from tenantmesh.chassis.requests import refuse
from tenantmesh.interceptors import CallerKind, current_call
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import operation_service_pb2 as pb
from tenantmesh.tenant_svc.operations.mapping import OperationMessages, operation_message, seconds_of
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.operations.operations import Operations, operation_not_found
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["OperationServicer"]

_Context = Any  # handlers take what the call needs from current_call()
_WORD = re.compile(r"(?<!^)([A-Z])")
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
        return self._message(await self._operations.get(_owner(), request.operation_id))

    async def ListOperations(self, request: pb.ListOperationsRequest, _context: _Context) -> pb.ListOperationsResponse:
        """Return a page of operations."""
        asked = self._asked_type(request.type)
        page = await self._operations.page(_owner(), request.page_size, request.page_token, asked)
        operations, next_token = page.as_messages(self._message)
        return pb.ListOperationsResponse(operations=operations, next_page_token=next_token)

    async def CancelOperation(self, request: pb.CancelOperationRequest, _context: _Context) -> OperationMessage:
        """End the operation, unless it has ended."""
        actor = current_call().caller.credential_id
        return self._message(await self._operations.cancel(_owner(), request.operation_id, actor))

    async def WaitOperation(self, request: pb.WaitOperationRequest, _context: _Context) -> OperationMessage:
        """Return the operation once it has ended, or its state when the time is over."""
        seconds = seconds_of(request.timeout if request.HasField("timeout") else None)
        left = current_call().time_remaining()
        if left is not None:
            seconds = min(seconds, left - _MARGIN_SECONDS)
        return self._message(await self._operations.wait(_owner(), request.operation_id, seconds))

    def _asked_type(self, method: str) -> str:
        """Return the type of operation that the method starts; empty for all. Raises InvalidArgument for a method that
        starts none."""
        if not method:
            return ""
        asked = _WORD.sub(r"_\1", method).upper()
        known = ", ".join(sorted(_method(each) for each in self._messages))
        refuse({"type": None if method == _method(asked) and asked in self._messages else f"must be one of {known}"})
        return asked

    def _message(self, operation: Operation) -> OperationMessage:
        """Return the operation as the caller sees it."""
        return operation_message(operation, self._messages.get(operation.type), Viewer.of(current_call().caller))


def _owner() -> TenantId | None:
    """Return the tenant whose operations the call is about; None for those of the mesh. Raises NotFound for a caller
    that may not see these."""
    call = current_call()
    if call.tenant is not None:
        return call.tenant.id
    if call.caller.kind is not CallerKind.OPERATOR:
        raise operation_not_found()
    return None


def _method(operation_type: str) -> str:
    """Return the name of the method that starts operations of the type."""
    return "".join(word.capitalize() for word in operation_type.split("_"))
