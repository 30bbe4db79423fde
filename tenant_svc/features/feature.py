"""Stored features, the values that plans give to them, periods and rollouts. Pure.

Not here: the rules for a new feature (`rules.py`), and one tenant's features (`tenant_svc.entitlements`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import blake2s, sha256
from typing import Any

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["WHOLE", "FeatureDef", "FeatureValue", "Period", "Rollout"]

WHOLE = 10_000
"""100 percent, in basis points."""


class Period(Enum):
    """A period of the UTC calendar. An instant belongs to the period that begins with it."""

    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"

    def start_of(self, moment: datetime) -> datetime:
        """Return when the period of the moment began."""
        hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        match self:
            case Period.HOUR:
                return hour
            case Period.DAY:
                return hour.replace(hour=0)
            case Period.MONTH:
                return hour.replace(day=1, hour=0)

    def end_of(self, moment: datetime) -> datetime:
        """Return when the next period begins."""
        start = self.start_of(moment)
        match self:
            case Period.HOUR:
                return start + timedelta(hours=1)
            case Period.DAY:
                return start + timedelta(days=1)
            case Period.MONTH:
                return (start + timedelta(days=31)).replace(day=1)


@dataclass(frozen=True, slots=True)
class FeatureValue:
    """A value of a feature: exactly one of the four fields is set. The `of_…` functions make values.

    enabled: whether a BOOLEAN feature is on.
    static: the JSON value of a STATIC feature; never None.
    limit: the allowance of a METERED feature per period or the highest level of a GAUGE, in the feature's unit.
    unlimited: whether a METERED or GAUGE feature has no limit.
    """

    enabled: bool | None = None
    static: Any = None
    limit: int | None = None
    unlimited: bool = False

    @classmethod
    def of_boolean(cls, enabled: bool) -> FeatureValue:
        """Return a BOOLEAN feature's value."""
        return cls(enabled=enabled)

    @classmethod
    def of_static(cls, value: Any) -> FeatureValue:
        """Return a STATIC feature's value."""
        return cls(static=value)

    @classmethod
    def of_limit(cls, limit: int | None) -> FeatureValue:
        """Return a METERED or GAUGE feature's value; None is unlimited."""
        return cls(unlimited=True) if limit is None else cls(limit=limit)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FeatureValue:
        """Return the value that `to_json` wrote. Raises TypeError for anything else."""
        return cls(**stored)

    def to_json(self) -> dict[str, Any]:
        """Return the value as the tables store it, such as `{"limit": 1000}`."""
        if self.enabled is not None:
            return {"enabled": self.enabled}
        if self.unlimited:
            return {"unlimited": True}
        if self.limit is not None:
            return {"limit": self.limit}
        return {"static": self.static}

    def fits(self, feature_type: FeatureType) -> bool:
        """Return whether features of that type have such values."""
        match feature_type:
            case FeatureType.BOOLEAN:
                return self.enabled is not None
            case FeatureType.STATIC:
                return self.static is not None
            case FeatureType.METERED | FeatureType.GAUGE:
                return self.unlimited or self.limit is not None

    @property
    def amount(self) -> int | None:
        """The limit; None is unlimited. Zero for values without a limit."""
        return None if self.unlimited else self.limit or 0


@dataclass(frozen=True, slots=True)
class Rollout:
    """A share of the tenants that have a BOOLEAN feature whatever their plan says. Without `plan_ids`, on any plan."""

    basis_points: int
    plan_ids: tuple[str, ...] = ()

    def includes(self, feature_id: str, tenant_id: TenantId, plan_id: str) -> bool:
        """Return whether the share includes the tenant. A growing share keeps the tenants that it includes."""
        if self.plan_ids and plan_id not in self.plan_ids:
            return False
        return _bucket(feature_id, tenant_id) < self.basis_points

    def to_json(self) -> dict[str, Any]:
        """Return the rollout as the history shows it."""
        return {"basis_points": self.basis_points, "plan_ids": list(self.plan_ids)}


def _bucket(feature_id: str, tenant_id: TenantId) -> int:
    """Return the tenant's bucket in the feature's rollout, 0 to 9999. Never change the formula: tenants would lose
    features."""
    digest = sha256(feature_id.encode() + tenant_id.bytes).digest()
    return int.from_bytes(digest[:8]) % WHOLE


@dataclass(frozen=True, slots=True)
class FeatureDef:
    """A feature of the catalog. `version` counts its changes from 1. `period` is set for METERED features only.

    owner: the service that sets the levels of a GAUGE feature; empty for any that may.
    """

    id: str
    type: FeatureType
    display_name: str
    unit: str
    period: Period | None
    rollout: Rollout | None
    create_time: datetime
    update_time: datetime
    version: int
    owner: str = ""

    @property
    def etag(self) -> str:
        """The identifier of this version of this feature."""
        return blake2s(f"{self.id} {self.version}".encode(), digest_size=8).hexdigest()

    def opened_to(self, tenant_id: TenantId, plan_id: str) -> bool:
        """Return whether a rollout has opened the feature to a tenant on that plan."""
        return self.rollout is not None and self.rollout.includes(self.id, tenant_id, plan_id)
