"""Stored plans, and the values that one version gives. Pure.

Not here: the rules for a new plan (`rules.py`), and one tenant's features (`tenant_svc.entitlements`).
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
    """The states of a version: a DRAFT may change, a PUBLISHED one takes new tenants. It only ever moves down this
    list."""

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
        """The identifier of this state of this version. It does not cover whether the plan is listed."""
        return blake2s(f"{self.id} {self.version} {self.revision}".encode(), digest_size=8).hexdigest()

    def value_of(self, feature: FeatureDef) -> FeatureValue | None:
        """Return the version's value of the feature, or None when it gives none."""
        listed = self.features.get(feature.id)
        if listed is None and self.all_features and feature.type is FeatureType.BOOLEAN:
            return FeatureValue.of_boolean(True)
        return listed
