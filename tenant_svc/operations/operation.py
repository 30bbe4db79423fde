"""One long-running operation: how far it is, and what became of it. So far the only ones are changes of a plan."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from tenantmesh.interceptors.errors import FailedPrecondition, MeshError, NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.plan_changes.plan_change import NewMigration, OverLimit, PlanPin
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = [
    "CANCELLED",
    "Failure",
    "Operation",
    "OperationState",
    "ended_by_us",
    "not_found",
    "operation_name",
    "parse_name",
    "under_way",
]


class OperationState(Enum):
    """How far an operation is. VALIDATED is never stored: it is a dry run that is over."""

    VALIDATED = "VALIDATED"
    SCHEDULED = "SCHEDULED"
    CHECKING = "CHECKING"
    APPLYING = "APPLYING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def percent(self) -> int:
        """How much of it is behind, 0 to 100."""
        return _PERCENT.get(self, 100)


_PERCENT = {OperationState.SCHEDULED: 0, OperationState.CHECKING: 20, OperationState.APPLYING: 60}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an operation did not do what it was started for. `code` is a name of google.rpc.Code."""

    code: str
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: MeshError) -> Failure:
        """The refusal as the operation's outcome."""
        return cls(error.kind.value, error.reason, error.message, error.metadata)


CANCELLED = Failure("CANCELLED", "OPERATION_CANCELLED", "The operation was cancelled before it changed anything.")


@dataclass(frozen=True, slots=True)
class Operation:
    """A change of a plan.

    from_plan, to_plan: the pinned versions before and after.
    effective_time: when the new plan takes effect.
    over_limits: what the tenant uses beyond the new plan, as far as it has been checked.
    result: the tenant as the change left it. For a dry run, as the change would leave it.
    actor, cancelled_by: the credentials that started it, and that cancelled it; empty where nobody did.
    """

    tenant_id: TenantId
    id: uuid.UUID
    state: OperationState
    migration: NewMigration
    from_plan: PlanPin
    to_plan: PlanPin
    actor: str
    effective_time: datetime
    create_time: datetime
    end_time: datetime | None = None
    over_limits: tuple[OverLimit, ...] = ()
    error: Failure | None = None
    result: Tenant | None = None
    cancelled_by: str = ""

    @property
    def name(self) -> str:
        """As callers know it. A dry run has none, since it can't be looked up."""
        return "" if self.state is OperationState.VALIDATED else operation_name(self.tenant_id, self.id)

    def for_users(self) -> Operation:
        """How it goes, without the credential of the operator who cancelled it."""
        return replace(self, cancelled_by="")

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.end_time is not None


def operation_name(tenant_id: TenantId, operation_id: uuid.UUID) -> str:
    """The name that says whose operation it is, and which."""
    return f"tenants/{tenant_id}/operations/{operation_id}"


def parse_name(name: str) -> tuple[TenantId, uuid.UUID]:
    """The tenant and the operation that a name speaks of. Raises ValueError for what `operation_name` did not make."""
    match name.split("/"):
        case ["tenants", tenant, "operations", operation]:
            return TenantId(uuid.UUID(tenant)), uuid.UUID(operation)
    raise ValueError("not the name of an operation")


def not_found() -> NotFound:
    """The error for an operation that is missing or another tenant's."""
    return NotFound("OPERATION_NOT_FOUND", "The tenant has no such operation. List its operations.")


def under_way(operation: str) -> FailedPrecondition:
    """The error while another change of the tenant's plan has not ended; the name may be unknown, and empty."""
    return FailedPrecondition(
        "MIGRATION_UNDER_WAY",
        "Another change of the tenant's plan has not ended. Wait for it, or cancel it.",
        metadata={"operation": operation} if operation else {},
    )


def ended_by_us() -> Failure:
    """The outcome of an operation that fails again and again for a reason that is not the caller's."""
    return Failure("INTERNAL", "INTERNAL", "The operation failed on our side and has changed nothing. Start it again.")
