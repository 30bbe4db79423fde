"""Conversions between operations and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from typing import Protocol

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.tenant.v1 import operation_pb2
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState
from tenantmesh.tenant_svc.operations.operations import LONGEST_WAIT
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["OperationMessages", "operation_message", "seconds_of", "state_value"]

_DEFAULT_WAIT_SECONDS = 10.0
_STATES = {state: operation_pb2.OperationState.Value(f"OPERATION_STATE_{state.value}") for state in OperationState}


class OperationMessages(Protocol):
    """The messages of the operations of one type. The capability that carries them out provides them."""

    def metadata(self, operation: Operation, viewer: Viewer) -> Message:
        """Must return the operation's progress, for the viewer."""
        ...

    def response(self, operation: Operation) -> Message:
        """Must return the result. Called only for an operation that has one."""
        ...


def state_value(state: OperationState) -> operation_pb2.OperationState.ValueType:
    """Return the state as the contract has it, for the metadata of every type."""
    return _STATES[state]


def seconds_of(timeout: Duration | None) -> float:
    """Return how long to wait: the request's timeout, at most the longest wait; 10 s without a timeout."""
    if timeout is None:
        return _DEFAULT_WAIT_SECONDS
    return min(max(timeout.seconds + timeout.nanos / 1e9, 0.0), LONGEST_WAIT.total_seconds())


def operation_message(
    operation: Operation, messages: OperationMessages | None, viewer: Viewer
) -> operations_pb2.Operation:
    """Return the operation as the viewer sees it.

    `messages` of its type are None while a newer process makes operations that this one does not know: then the answer
    has neither metadata nor response.
    """
    message = operations_pb2.Operation(name=operation.name, done=operation.done)
    if messages is not None:
        message.metadata.Pack(messages.metadata(operation, viewer))
    if operation.error is not None:
        message.error.CopyFrom(_status(operation.error))
    elif operation.result is not None and messages is not None:
        message.response.Pack(messages.response(operation))
    return message


def _status(failure: Failure) -> status_pb2.Status:
    """Return the failure as the chain answers a refused call. The code is a name, since only operations end with some
    codes."""
    status = status_pb2.Status(code=code_pb2.Code.Value(failure.code), message=failure.message)
    info = error_details_pb2.ErrorInfo(reason=failure.reason, domain=MeshError.domain, metadata=dict(failure.metadata))
    status.details.add().Pack(info)
    return status
