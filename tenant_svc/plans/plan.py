"""Stored plans, and the values that one version gives. Pure.

Not here: the rules for a new plan (`rules.py`), and one tenant's features (`tenant_svc.entitlements`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from hashlib import blake2s

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period

__all__ = ["NoLimit", "PlanState", "PlanVersion"]


class PlanState(Enum):
    """The states of a version: a DRAFT may change, a PUBLISHED one takes new tenants. It only ever moves down this
    list."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True)
class NoLimit:
    """A warning: a plan does not name this METERED or GAUGE feature of the catalog, so its limit is zero there."""

    feature: str
    type: FeatureType

    @property
    def message(self) -> str:
        """The meaning for tenants on the plan, and the remedy."""
        metered = self.type is FeatureType.METERED
        meaning = "allowance is zero: calls that use it are refused" if metered else "limit is zero: none can be added"
        return f"The plan does not name {self.feature}, so its {meaning}. Give it a `limit` or `unlimited`."


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """One version of a plan. `version` counts the plan's versions from 1, `revision` the changes of this one.

    listed: whether tenants on other plans may see the plan's name; the same in all its versions.
    warnings: the features that its tenants would find missing. Not stored: use cases that return one version look.
    """

    id: str
    version: int
    state: PlanState
    display_name: str
    features: dict[str, FeatureValue]
    all_features: bool
    rates: dict[str, Rate]
    billing_period: Period
    create_time: datetime
    publish_time: datetime | None
    archive_time: datetime | None
    revision: int
    listed: bool
    warnings: tuple[NoLimit, ...] = field(default=(), compare=False)

    @property
    def etag(self) -> str:
        """The identifier of this state of this version. It does not cover whether the plan is listed."""
        return blake2s(f"{self.id} {self.version} {self.revision}".encode(), digest_size=8).hexdigest()

    @property
    def bulk(self) -> int:
        """Roughly how many bytes its static values have, which are the only large part of a version."""
        return sum(len(str(value.static)) for value in self.features.values() if value.static is not None)

    def warned(self, catalog: Mapping[str, FeatureDef]) -> PlanVersion:
        """Return the version with its warnings. A limit of zero that it names is meant, and not warned about."""
        counted = (feature for feature in catalog.values() if feature.type in {FeatureType.METERED, FeatureType.GAUGE})
        missing = [NoLimit(feature.id, feature.type) for feature in counted if feature.id not in self.features]
        return replace(self, warnings=tuple(sorted(missing, key=lambda warning: warning.feature)))

    def value_of(self, feature: FeatureDef) -> FeatureValue | None:
        """Return the version's value of the feature, or None when it gives none."""
        listed = self.features.get(feature.id)
        if listed is None and self.all_features and feature.type is FeatureType.BOOLEAN:
            return FeatureValue.of_boolean(True)
        return listed
