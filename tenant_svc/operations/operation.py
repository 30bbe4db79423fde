"""One long-running operation of any type: its progress and its outcome. Its type's capability carries it out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.records import TraceContext
from tenantmesh.interceptors.tenants import TenantId

__all__ = [
    "BROKEN_OFF",
    "CANCELLED",
    "FAILED_BY_US",
    "Failure",
    "Operation",
    "OperationState",
    "operation_name",
    "parse_mesh_name",
    "parse_name",
]


class OperationState(Enum):
    """The progress of an operation. VALIDATED is never stored: it is a dry run that is over."""

    VALIDATED = "VALIDATED"
    SCHEDULED = "SCHEDULED"
    CHECKING = "CHECKING"
    APPLYING = "APPLYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def percent(self) -> int:
        """The progress of the operation, 0 to 100."""
        return _PERCENT.get(self, 100)


_PERCENT = {OperationState.SCHEDULED: 0, OperationState.CHECKING: 20, OperationState.APPLYING: 60}


@dataclass(frozen=True, slots=True)
class Failure:
    """The error with which an operation ended. `code` is a name of google.rpc.Code."""

    code: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: MeshError) -> Failure:
        """Return the refusal as the operation's outcome."""
        return cls(error.kind.value, error.reason, error.message, error.metadata)


CANCELLED = Failure("CANCELLED", "OPERATION_CANCELLED", "The operation was cancelled before it changed anything.")

BROKEN_OFF = Failure(
    "CANCELLED",
    "OPERATION_CANCELLED",
    "The operation was cancelled. What it had done until then stays; its metadata says how far it came.",
)
"""The outcome of an operation with several steps that was cancelled between two of them."""

FAILED_BY_US = Failure(
    "INTERNAL", "INTERNAL", "The operation failed on our side and has changed nothing. Start it again."
)
"""The outcome of an operation that fails again and again, through no fault of the caller."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a tenant, or of the mesh as a whole, whose `tenant_id` is None.

    type: the type, which decides the capability that carries it out. Only that capability reads `request`, `progress`
    and `result`, which are JSON.
    request: the request.
    progress: the findings so far.
    result: the result of a successful operation. Of a dry run, the result it would have.
    actor, cancelled_by: the credentials that started and cancelled it; empty where none did.
    effective_time: when it is to begin.
    cause: the trace of the call that asked for it; None without one.
    subject: what an operation of the mesh is about, such as a tenant's name. No two of a type and subject are under way
        at once. Empty: any number may be.
    """

    tenant_id: TenantId | None
    id: uuid.UUID
    type: str
    state: OperationState
    request: Mapping[str, Any]
    progress: Mapping[str, Any]
    actor: str
    effective_time: datetime
    create_time: datetime
    end_time: datetime | None = None
    error: Failure | None = None
    result: Mapping[str, Any] | None = None
    cancelled_by: str = ""
    cause: TraceContext | None = None
    subject: str = ""

    @property
    def owner(self) -> TenantId:
        """The tenant of an operation that has one."""
        if self.tenant_id is None:
            raise ValueError(f"{self.name} is an operation of the mesh")
        return self.tenant_id

    @property
    def name(self) -> str:
        """The name that callers use. A dry run has none, since it can't be looked up."""
        return "" if self.state is OperationState.VALIDATED else operation_name(self.tenant_id, self.id)

    @property
    def done(self) -> bool:
        """Whether it has ended, in success or not."""
        return self.end_time is not None


def operation_name(tenant_id: TenantId | None, operation_id: uuid.UUID) -> str:
    """Return the name of a tenant's operation, or of one of the mesh."""
    name = f"operations/{operation_id}"
    return name if tenant_id is None else f"tenants/{tenant_id}/{name}"


def parse_name(name: str) -> tuple[TenantId, uuid.UUID]:
    """Return the tenant and the operation of a name. Raises ValueError unless it is the name of a tenant's
    operation."""
    match name.split("/"):
        case ["tenants", tenant, "operations", operation]:
            return TenantId(uuid.UUID(tenant)), uuid.UUID(operation)
    raise ValueError("not the name of a tenant's operation")


def parse_mesh_name(name: str) -> uuid.UUID:
    """Return the operation of a name. Raises ValueError unless it is the name of an operation of the mesh."""
    match name.split("/"):
        case ["operations", operation]:
            return uuid.UUID(operation)
    raise ValueError("not the name of an operation of the mesh")
