"""Levels and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from interceptors.errors import ResourceExhausted
from interceptors.tenants import TenantId

__all__ = ["USERS", "Level", "refuse_above"]

USERS = "users"
"""The gauge of accounts in a tenant."""


@dataclass(frozen=True, slots=True)
class Level:
    """Where a gauge of a tenant stands. `version` counts its changes."""

    tenant_id: TenantId
    gauge: str
    level: int
    version: int


def refuse_above(limit: int | None, level: int, gauge: str) -> None:
    """Raises ResourceExhausted `LIMIT_REACHED` where one more would be above the limit. None is unlimited."""
    if limit is None or level < limit:
        return
    raise ResourceExhausted(
        "LIMIT_REACHED",
        f"The tenant has {level} {gauge}, and its plan allows {limit}. Ask its administrator for a larger plan.",
        metadata={"gauge": gauge, "limit": str(limit), "level": str(level), "scope": "tenant"},
    )
