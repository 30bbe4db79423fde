"""The refusals of quotas: which limit, whose, how much, and when it is worth coming back."""

from __future__ import annotations

from datetime import UTC

from tenantmesh.interceptors.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    QuotaViolation,
    ResourceExhausted,
)
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState
from tenantmesh.tenant_svc.balances.account import Account
from tenantmesh.tenant_svc.gauges.gauge import Gauge

__all__ = [
    "allocation_closed",
    "allocation_not_found",
    "exhausted",
    "gauge_not_found",
    "gauge_reported",
    "limit_reached",
    "meter_not_found",
    "request_reused",
]


def meter_not_found(meter: str) -> NotFound:
    """For what is no METERED feature."""
    return _feature_not_found(meter, "METERED")


def gauge_not_found(gauge: str) -> NotFound:
    """For what is no GAUGE feature."""
    return _feature_not_found(gauge, "GAUGE")


def _feature_not_found(feature: str, type_: str) -> NotFound:
    return NotFound(
        "FEATURE_NOT_FOUND",
        f"The catalog has no {type_} feature {feature}. List the features.",
        metadata={"feature": feature},
    )


def exhausted(account: Account, asked: int, tenant_id: TenantId, plan_id: str) -> ResourceExhausted:
    """For an allowance that has less left than was asked for."""
    limit = account.limit or 0
    resets_at = account.period_end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ResourceExhausted(
        "QUOTA_EXHAUSTED",
        f"{asked} of {account.meter} were asked for, and of the {limit} of this period {account.left} are left. The "
        f"next period begins at {resets_at}; a larger plan or a grant helps at once.",
        metadata={
            "meter": account.meter,
            "limit": str(limit),
            "remaining": str(account.left),
            "scope": "tenant",
            "plan": plan_id,
            "resets_at": resets_at,
        },
        quota_violations=[QuotaViolation.of_allowance(tenant_id, account.meter, limit)],
        retry_after=account.ends_in,
    )


def limit_reached(gauge: Gauge, tenant_id: TenantId, plan_id: str) -> ResourceExhausted:
    """For a level that would rise above its limit; without one, above the largest amount there is."""
    limit = LARGEST_AMOUNT if gauge.limit is None else gauge.limit
    return ResourceExhausted(
        "LIMIT_REACHED",
        f"{gauge.id} stands at {gauge.level} and may rise to {limit}. Lower it, or ask for a higher limit.",
        metadata={
            "gauge": gauge.id,
            "limit": str(limit),
            "level": str(gauge.level),
            "scope": "tenant",
            "plan": plan_id,
        },
        quota_violations=[
            QuotaViolation(
                subject=f"tenant:{tenant_id}",
                description=f"at most {limit} of {gauge.id} at a time",
                metric=gauge.id,
                id="level",
                limit=limit,
            )
        ],
    )


def gauge_reported(gauge: str) -> FailedPrecondition:
    """For a level that its owner reports, which nobody else may change."""
    return FailedPrecondition(
        "GAUGE_REPORTED",
        f"Another service keeps the level of {gauge} and reports it. Change the rows there.",
        metadata={"gauge": gauge},
    )


def allocation_not_found() -> NotFound:
    """For an allocation that the tenant does not have."""
    return NotFound("ALLOCATION_NOT_FOUND", "The tenant has no such allocation. Check the id.")


def allocation_closed(allocation: Allocation) -> FailedPrecondition:
    """For an allocation that has ended otherwise, or whose time is over."""
    state = (AllocationState.EXPIRED if allocation.overdue else allocation.state).value
    return FailedPrecondition(
        "ALLOCATION_CLOSED", f"The allocation has ended as {state}. Allocate again.", metadata={"state": state}
    )


def request_reused(what: str) -> AlreadyExists:
    """For a request id or key that was used with other fields."""
    return AlreadyExists("REQUEST_ID_REUSED", f"This {what} was used before with other fields. Send a new one.")
