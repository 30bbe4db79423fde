"""The refusals about levels."""

from __future__ import annotations

from tenantmesh.chassis.refusals import limit_reached
from tenantmesh.interceptors.errors import AlreadyExists, FailedPrecondition, PermissionDenied, ResourceExhausted
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.gauges.gauge import Gauge

__all__ = ["gauge_owned", "gauge_reported", "key_reused", "level_at_limit"]


def level_at_limit(gauge: Gauge, tenant_id: TenantId, plan_id: str) -> ResourceExhausted:
    """Return the refusal of a level that would rise above its limit or, without one, above the largest amount."""
    limit = LARGEST_AMOUNT if gauge.limit is None else gauge.limit
    return limit_reached(
        f"{gauge.id} stands at {gauge.level} and may rise to {limit}. Lower it, or ask for a higher limit.",
        gauge=gauge.id,
        level=gauge.level,
        limit=limit,
        tenant_id=tenant_id,
        plan_id=plan_id,
    )


def gauge_reported(gauge: str) -> FailedPrecondition:
    """Return the refusal to change a level that another service reports."""
    return FailedPrecondition(
        "GAUGE_REPORTED",
        f"Another service keeps the level of {gauge} and reports it. Change the rows there.",
        metadata={"gauge": gauge},
    )


def gauge_owned(gauge: str, owner: str) -> PermissionDenied:
    """Return the refusal to set a level that belongs to another service."""
    return PermissionDenied(
        "GAUGE_OWNED",
        f"The service {owner} sets the level of {gauge}. Call with its key, or change the feature's owner.",
        metadata={"gauge": gauge, "owner": owner},
    )


def key_reused() -> AlreadyExists:
    """Return the refusal of an adjustment's key that was used with another amount."""
    return AlreadyExists("REQUEST_ID_REUSED", "This key was used before with other fields. Send a new one.")
