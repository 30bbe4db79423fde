"""What a tenant is entitled to, as the chain and handlers see it. Everything else about plans lives in tenant_svc."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Protocol

from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.names import in_metadata, in_words
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["EntitlementChange", "EntitlementSource", "Entitlements", "Feature", "FeatureType"]


class FeatureType(Enum):
    """What a plan states about a feature."""

    BOOLEAN = "BOOLEAN"
    STATIC = "STATIC"
    METERED = "METERED"
    GAUGE = "GAUGE"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature as a tenant has it.

    enabled: whether a BOOLEAN feature is on; the other types count as on where the tenant has a value, a limit above
    zero or a grant.
    limit: a METERED feature's allowance without grants, or the highest level of a GAUGE; None is unlimited.
    value: what a STATIC feature says, as JSON values.
    available_in: the plans that have a BOOLEAN feature which is off.
    """

    id: str
    type: FeatureType
    enabled: bool
    limit: int | None = 0
    value: Any = None
    available_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entitlements:
    """All that a tenant is entitled to at one moment. `revision` grows with every change."""

    tenant_id: TenantId
    plan_id: str
    plan_version: int
    revision: int
    features: Mapping[str, Feature]
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """Burst limits by rate class; classes that are not here have the chain's own."""
    over_limit: tuple[str, ...] = ()
    """Gauges above their limit."""
    read_only: bool = False
    """Whether methods that change something are refused because of them."""
    valid_for: timedelta | None = None
    """How long these stay true if nothing is changed, from when they were asked for; None is for ever."""

    def has(self, feature: str) -> bool:
        """Whether the tenant has the feature. An unknown one is nobody's."""
        known = self.features.get(feature)
        return known is not None and known.enabled

    def require(self, feature: str) -> None:
        """Raises PermissionDenied `FEATURE_NOT_IN_PLAN`, naming the plans that have the feature, unless the tenant has
        it."""
        known = self.features.get(feature)
        if known is not None and known.enabled:
            return
        plans = known.available_in if known is not None else ()
        advice = f"Plans that have it: {in_words(plans)}." if plans else "Ask whoever runs the mesh for it."
        raise PermissionDenied(
            "FEATURE_NOT_IN_PLAN",
            f"The plan {self.plan_id} does not include {feature}. {advice}",
            metadata={"feature": feature, "plan": self.plan_id, **in_metadata("plans", plans)},
        )

    def value(self, feature: str, default: Any = None) -> Any:
        """What a STATIC feature says, or the default where the tenant has none."""
        known = self.features.get(feature)
        return default if known is None or known.value is None else known.value

    def limit(self, feature: str) -> int | None:
        """The limit of a METERED or GAUGE feature, None when it is unlimited, 0 when the tenant has none."""
        known = self.features.get(feature)
        return 0 if known is None else known.limit


@dataclass(frozen=True, slots=True)
class EntitlementChange:
    """Whose entitlements changed, with the cursor to resume from. Neither tenant nor `everybody`: a checkpoint."""

    cursor: str
    tenant_id: TenantId | None = None
    everybody: bool = False
    """Whether the catalog changed, which concerns every tenant."""
    caught_up: bool = False
    """Whether nothing that has happened is still to come. Only checkpoints say so."""


class EntitlementSource(Protocol):
    """Where entitlements are learnt. tenant_svc reads its database; every other process asks tenant_svc."""

    async def find(self, tenant_id: TenantId) -> Entitlements | None:
        """Must return what is in force now, None for a tenant that does not exist; must raise Unavailable when that
        can't be found out."""
        ...

    def watch(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        """Must yield every change committed after the cursor, as `TenantSource.watch` does."""
        ...
