"""The refusals about reservations."""

from __future__ import annotations

from tenantmesh.interceptors.errors import AlreadyExists, FailedPrecondition, NotFound, PermissionDenied
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState

__all__ = ["allocation_closed", "allocation_not_found", "allocation_not_held", "request_reused"]


def allocation_not_found() -> NotFound:
    """Return the refusal of an allocation that the tenant does not have."""
    return NotFound("ALLOCATION_NOT_FOUND", "The tenant has no such allocation. Check the id.")


def allocation_closed(allocation: Allocation) -> FailedPrecondition:
    """Return the refusal of an allocation that has ended in another way, or has expired."""
    state = (AllocationState.EXPIRED if allocation.overdue else allocation.state).value
    return FailedPrecondition(
        "ALLOCATION_CLOSED", f"The allocation has ended as {state}. Allocate again.", metadata={"state": state}
    )


def allocation_not_held() -> PermissionDenied:
    """Return the refusal to end an allocation that another service has reserved."""
    return PermissionDenied(
        "ALLOCATION_NOT_HELD",
        "Another service has reserved the allocation. Call with a key of that service, or let the allocation expire.",
    )


def request_reused() -> AlreadyExists:
    """Return the refusal of a request id that was used with other fields."""
    return AlreadyExists("REQUEST_ID_REUSED", "This request_id was used before with other fields. Send a new one.")
