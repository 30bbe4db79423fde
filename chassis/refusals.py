"""Refusals that several services give, with the same details for their callers."""

from __future__ import annotations

from tenantmesh.interceptors.errors import QuotaViolation, ResourceExhausted
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["limit_reached"]


def limit_reached(
    message: str, *, gauge: str, level: int, limit: int, tenant_id: TenantId, plan_id: str
) -> ResourceExhausted:
    """Return the refusal of a level that would rise above its limit. The message is the service's own."""
    return ResourceExhausted(
        "LIMIT_REACHED",
        message,
        metadata={"gauge": gauge, "limit": str(limit), "level": str(level), "scope": "tenant", "plan": plan_id},
        quota_violations=[
            QuotaViolation(
                subject=f"tenant:{tenant_id}",
                description=f"at most {limit} {gauge} at a time",
                metric=gauge,
                id="level",
                limit=limit,
            )
        ],
        to_strangers="The tenant takes no more of this. Its administrator can ask for a higher limit.",
    )
