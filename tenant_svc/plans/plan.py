"""Plans as they are stored, and what a version of one gives. Pure.

Not here: the rules that a new plan must keep (`rules.py`), and what one tenant has (`tenant_svc.entitlements`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from hashlib import blake2s

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period

__all__ = ["PlanState", "PlanVersion"]


class PlanState(Enum):
    """Whether a version may change, and whether it takes new tenants. It only ever moves down this list."""

    DRAFT = "DRAFT"
    PUBLISHED = "PUBLISHED"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """One version of a plan. `version` counts the plan's versions from 1, `revision` the changes of this one.

    listed: whether tenants on other plans may see the plan's name; the same in all its versions.
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

    @property
    def etag(self) -> str:
        """Identifies this state of this version; whether the plan is listed is no part of it."""
        return blake2s(f"{self.id} {self.version} {self.revision}".encode(), digest_size=8).hexdigest()

    def value_of(self, feature: FeatureDef) -> FeatureValue | None:
        """The version's value of the feature; None when it has none, which gives nothing."""
        listed = self.features.get(feature.id)
        if listed is None and self.all_features and feature.type is FeatureType.BOOLEAN:
            return FeatureValue.of_boolean(True)
        return listed
