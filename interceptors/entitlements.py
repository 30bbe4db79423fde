"""Entitlements of a tenant, as the chain and handlers see them, and the ports that know them. Everything else about
plans lives in tenant_svc."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Protocol

from tenantmesh.interceptors.errors import PermissionDenied, Unavailable
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.lookup import Lookup
from tenantmesh.interceptors.names import in_metadata, in_words
from tenantmesh.interceptors.tenants import TenantId

__all__ = [
    "EntitlementChange",
    "EntitlementLookup",
    "EntitlementSource",
    "Entitlements",
    "Feature",
    "FeatureType",
    "entitlements_unavailable",
]


class FeatureType(Enum):
    """The type of a feature: what a plan states about it."""

    BOOLEAN = "BOOLEAN"
    STATIC = "STATIC"
    METERED = "METERED"
    GAUGE = "GAUGE"


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature as a tenant has it.

    enabled: whether a BOOLEAN feature is on. The other types are on where the tenant has a value, a limit above zero or
    a grant.
    limit: a METERED feature's allowance without grants, or the highest level of a GAUGE; None is unlimited.
    value: the value of a STATIC feature, as JSON values.
    available_in: plans that have a BOOLEAN feature which is off; `available_in_more` counts those that are not named.
    """

    id: str
    type: FeatureType
    enabled: bool
    limit: int | None = 0
    value: Any = None
    available_in: tuple[str, ...] = ()
    available_in_more: int = 0


@dataclass(frozen=True, slots=True)
class Entitlements:
    """All entitlements of a tenant at one moment. `revision` grows with every change."""

    tenant_id: TenantId
    plan_id: str
    plan_version: int
    revision: int
    features: Mapping[str, Feature]
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """Burst limits by rate class. Other classes have the rates of the chain's settings."""
    over_limit: tuple[str, ...] = ()
    """Gauges above their limit."""
    read_only: bool = False
    """True when methods that change something are refused because of `over_limit`."""
    valid_for: timedelta | None = None
    """How long they stay true if nothing changes, from when they were asked for; None is for ever."""

    def has(self, feature: str) -> bool:
        """Return whether the tenant has the feature; False for one that does not exist."""
        known = self.features.get(feature)
        return known is not None and known.enabled

    def require(self, feature: str) -> None:
        """Require the feature. Raises PermissionDenied `FEATURE_NOT_IN_PLAN`, which names the plans that have it."""
        known = self.features.get(feature)
        if known is not None and known.enabled:
            return
        plans, unnamed = (known.available_in, known.available_in_more) if known is not None else ((), 0)
        advice = f"Plans that have it: {in_words(plans, unnamed)}." if plans else "Ask the operator of the mesh for it."
        raise PermissionDenied(
            "FEATURE_NOT_IN_PLAN",
            f"The plan {self.plan_id} does not include {feature}. {advice}",
            metadata={"feature": feature, "plan": self.plan_id, **in_metadata("plans", plans, unnamed)},
            to_strangers=f"The tenant's plan does not include {feature}. Its administrator can change that.",
        )

    def value(self, feature: str, default: Any = None) -> Any:
        """Return the value of a STATIC feature, or the default where the tenant has none."""
        known = self.features.get(feature)
        return default if known is None or known.value is None else known.value

    def limit(self, feature: str) -> int | None:
        """Return the limit of a METERED or GAUGE feature: None when it is unlimited, 0 when the tenant has none."""
        known = self.features.get(feature)
        return 0 if known is None else known.limit


@dataclass(frozen=True, slots=True)
class EntitlementChange:
    """A change of a tenant's or everybody's entitlements, or a checkpoint (neither), with the cursor to resume from."""

    cursor: str
    tenant_id: TenantId | None = None
    everybody: bool = False
    """True when the catalog changed, which concerns every tenant."""
    caught_up: bool = False
    """True when every earlier change has been yielded. Only checkpoints say so."""


class EntitlementSource(Protocol):
    """Knows all entitlements. tenant_svc reads its database; every other process asks tenant_svc."""

    async def find(self, tenant_id: TenantId) -> Entitlements | None:
        """Must return the entitlements in force now, or None for a tenant that does not exist. Must raise Unavailable
        when that can't be found out."""
        ...

    def watch(self, cursor: str | None) -> AsyncIterator[EntitlementChange]:
        """Must yield every change committed after the cursor, as `TenantSource.watch` does."""
        ...


class EntitlementLookup(Lookup[TenantId, Entitlements], Protocol):
    """Finds entitlements by tenant. Adapter: `EntitlementDirectory`, a cache over an EntitlementSource."""

    def on_forgotten(self, listener: Callable[[TenantId | None], None]) -> None:
        """Must call the listener, on the loop that called `start`, with each tenant whose entitlements may differ from
        now on; with None when that is every tenant. The listener neither waits nor raises."""
        ...


def entitlements_unavailable() -> Unavailable:
    """Return the refusal of a call whose tenant's entitlements can't be read."""
    return Unavailable(
        "ENTITLEMENTS_UNAVAILABLE",
        "The tenant's entitlements can't be read at the moment. Retry with backoff.",
    )
