"""Gauge levels and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.chassis import refusals
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.tenants import TenantId, TenantRecord

__all__ = ["USERS", "GaugeFull", "GaugeLevel", "limit_reached", "require_room"]

USERS = "users"
"""The gauge that counts the accounts of a tenant."""


@dataclass(frozen=True, slots=True)
class GaugeLevel:
    """The level of one gauge of one tenant. `version` counts its changes."""

    tenant_id: TenantId
    gauge: str
    level: int
    version: int


class GaugeFull(Exception):
    """The level has reached its limit."""

    def __init__(self, level: int, limit: int) -> None:
        super().__init__(f"the level is {level}, the limit {limit}")
        self.level = level
        self.limit = limit


def require_room(level: int, limit: int | None) -> None:
    """Raise GaugeFull when one more would exceed the limit. None is unlimited."""
    if limit is not None and level >= limit:
        raise GaugeFull(level, limit)


def limit_reached(gauge: str, full: GaugeFull, tenant: TenantRecord) -> ResourceExhausted:
    """Return the refusal for a caller who would raise a gauge that is full."""
    return refusals.limit_reached(
        f"{gauge} stands at {full.level} of at most {full.limit}. Its administrator can ask for a higher limit.",
        gauge=gauge,
        level=full.level,
        limit=full.limit,
        tenant_id=tenant.id,
        plan_id=tenant.plan_id,
    )
