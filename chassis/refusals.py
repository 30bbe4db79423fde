"""Refusals that several services give, with the same details for their callers."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.interceptors.errors import QuotaViolation, ResourceExhausted
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["database_busy", "limit_reached"]

_BUSY_RETRY = timedelta(seconds=1)
"""As long as a call waits for a connection: by then the queue that was full has moved on or given up."""


def database_busy() -> ResourceExhausted:
    """Return the refusal of a call whose tenant, or kind of call, has its share of the connections in use."""
    return ResourceExhausted(
        "DATABASE_BUSY",
        "Too many calls of this tenant, or of this kind, are waiting for the database. Make fewer at once, and retry"
        " after the delay in RetryInfo.",
        retry_after=_BUSY_RETRY,
    )


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
