"""Sends slices of a file to ImportTenants and waits for what becomes of them. It outlasts services that are away."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.longrunning.operations_pb2 import Operation
from google.protobuf.duration_pb2 import Duration

from tenantmesh.deploy.commands.import_slices import FileSlice
from tenantmesh.deploy.stack.errors import StackError
from tenantmesh.tenant.v1 import operation_service_pb2, tenant_bulk_service_pb2
from tenantmesh.tenant.v1.operation_service_pb2_grpc import OperationServiceStub
from tenantmesh.tenant.v1.tenant_bulk_service_pb2 import ImportTenantsMetadata
from tenantmesh.tenant.v1.tenant_bulk_service_pb2_grpc import TenantBulkServiceStub

__all__ = ["ImportClient", "Sending"]

_PATIENCE_SECONDS = 300.0
_WAIT_SECONDS = 1
"""The time after which a wait answers how far the import is."""
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_AGAIN = "Start it again: what is done stays."
_PASSING = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Sending:
    """How to import lines."""

    on_existing: tenant_bulk_service_pb2.OnExisting.ValueType
    dry_run: bool


class ImportClient:
    """Imports slices, one after the other. Used as `with`, it closes its connection."""

    def __init__(self, target: str, key: str, *, tls: bool) -> None:
        credentials = grpc.ssl_channel_credentials()
        self._channel = grpc.secure_channel(target, credentials) if tls else grpc.insecure_channel(target)
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._under_way = ""
        self._target = target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def send(
        self, part: FileSlice, sending: Sending, reached: Callable[[ImportTenantsMetadata], None]
    ) -> tenant_bulk_service_pb2.ImportTenantsResponse:
        """Import the slice and return what became of it. Raises StackError when that fails. `reached` is told the
        progress, about once a second."""
        request = tenant_bulk_service_pb2.ImportTenantsRequest(
            lines=part.data,
            first_line=part.first,
            on_existing=sending.on_existing,
            validate_only=sending.dry_run,
            request_id=str(uuid.uuid4()),  # the same for each attempt, so that they start one operation together
        )
        bulk: Any = TenantBulkServiceStub(self._channel)
        started = self._patiently(lambda: bulk.ImportTenants(request, metadata=self._metadata, timeout=30))
        self._under_way = started.name.removeprefix("operations/")
        ended = self._ended(started, reached)
        self._under_way = ""
        return _response(ended)

    def cancel(self) -> None:
        """Cancel the import that is under way, if there is one and the mesh answers."""
        if not self._under_way:
            return
        operations: Any = OperationServiceStub(self._channel)
        request = operation_service_pb2.CancelOperationRequest(operation_id=self._under_way)
        try:
            operations.CancelOperation(request, metadata=self._metadata, timeout=5)
        except grpc.RpcError:
            return  # it ends by itself, and importing the lines again changes nothing more

    def _ended(self, operation: Operation, reached: Callable[[ImportTenantsMetadata], None]) -> Operation:
        operations: Any = OperationServiceStub(self._channel)
        request = operation_service_pb2.WaitOperationRequest(
            operation_id=self._under_way, timeout=Duration(seconds=_WAIT_SECONDS)
        )
        while not operation.done:
            operation = self._patiently(
                lambda: operations.WaitOperation(request, metadata=self._metadata, timeout=_WAIT_SECONDS + 10)
            )
            reached(_progress(operation))
        return operation

    def _patiently(self, attempt: Callable[[], _Answer]) -> _Answer:
        """Call until the mesh answers. Raises StackError for a refusal, and when it stays away."""
        pause, until = _FIRST_PAUSE_SECONDS, time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return attempt()
            except grpc.RpcError as error:
                passing = isinstance(error, grpc.Call) and error.code() in _PASSING
                if not passing or time.monotonic() > until:
                    raise self._refused(error, passing=passing) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _refused(self, error: grpc.RpcError, *, passing: bool) -> StackError:
        words = error.details() if isinstance(error, grpc.Call) else ""
        # A refusal says itself what to do.
        remedy = _AGAIN if passing else "Lines that are done stay."
        return StackError(f"{self._target}: {words or 'no answer'}", remedy=remedy)


def _progress(operation: Operation) -> ImportTenantsMetadata:
    metadata = ImportTenantsMetadata()
    operation.metadata.Unpack(metadata)
    return metadata


def _response(operation: Operation) -> tenant_bulk_service_pb2.ImportTenantsResponse:
    if operation.HasField("error"):
        raise StackError(f"{operation.name}: {operation.error.message}", remedy=_AGAIN)
    response = tenant_bulk_service_pb2.ImportTenantsResponse()
    operation.response.Unpack(response)
    return response
