"""The refusals about changes of plans."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.interceptors.errors import FailedPrecondition
from tenantmesh.interceptors.names import in_metadata, in_words
from tenantmesh.tenant_svc.plan_changes.plan_change import OverLimit, PlanPin

__all__ = ["over_limit", "under_way"]


def over_limit(plan: PlanPin, over: Sequence[OverLimit]) -> FailedPrecondition:
    """Return the refusal of a plan for a tenant that uses more than the plan allows."""
    listed = in_words([f"{exceeded.feature} ({exceeded.used} of {exceeded.limit})" for exceeded in over])
    return FailedPrecondition(
        "OVER_LIMIT",
        f"The tenant uses more than {plan} allows: {listed}. Lower its usage, or choose another over-limit policy.",
        metadata={"plan": plan.id, **in_metadata("features", [exceeded.feature for exceeded in over])},
    )


def under_way(operation: str) -> FailedPrecondition:
    """Return the refusal of a change while another operation changes the tenant's plan. Its name is empty when
    unknown."""
    return FailedPrecondition(
        "MIGRATION_UNDER_WAY",
        "Another change of the tenant's plan has not ended. Wait for it, or cancel it.",
        metadata={"operation": operation} if operation else {},
    )
