"""The difference for a tenant between two versions of plans."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue
from tenantmesh.tenant_svc.plans.plan import NoLimit, PlanVersion

__all__ = ["Difference", "Direction", "FeatureDifference", "RateDifference", "difference"]


class Direction(Enum):
    """The direction of a difference: more or less for the tenant. UNSPECIFIED is for values that can't be compared."""

    UNSPECIFIED = "UNSPECIFIED"
    MORE = "MORE"
    LESS = "LESS"


@dataclass(frozen=True, slots=True)
class FeatureDifference:
    """A feature with different values in the two versions. None stands for a version without a value."""

    feature: str
    before: FeatureValue | None
    after: FeatureValue | None
    direction: Direction


@dataclass(frozen=True, slots=True)
class RateDifference:
    """A burst limit that differs. None stands for a version that leaves it to the services' settings."""

    name: str
    before: Rate | None
    after: Rate | None


@dataclass(frozen=True, slots=True)
class Difference:
    """The differences: features by id, burst limits by class. The warnings are about the second version."""

    features: list[FeatureDifference]
    rates: list[RateDifference]
    warnings: Sequence[NoLimit] = ()


def difference(before: PlanVersion, after: PlanVersion, catalog: Mapping[str, FeatureDef]) -> Difference:
    """Return the changes for a tenant that moves from one version to the other.

    A feature that a version does not have counts as off, or limited to zero.
    """
    features = [_feature(catalog[name], before, after) for name in sorted(catalog)]
    rates = [
        RateDifference(name, before.rates.get(name), after.rates.get(name))
        for name in sorted({*before.rates, *after.rates})
        if before.rates.get(name) != after.rates.get(name)
    ]
    changed = [feature for feature in features if feature is not None]
    return Difference(changed, rates, after.warned(catalog).warnings)


def _feature(feature: FeatureDef, before: PlanVersion, after: PlanVersion) -> FeatureDifference | None:
    old, new = before.value_of(feature), after.value_of(feature)
    if feature.type is FeatureType.STATIC:
        return None if _text(old) == _text(new) else FeatureDifference(feature.id, old, new, Direction.UNSPECIFIED)
    if _size(old) == _size(new):
        return None
    return FeatureDifference(feature.id, old, new, Direction.MORE if _size(new) > _size(old) else Direction.LESS)


def _text(value: FeatureValue | None) -> str:
    """Return the value as text. Equal texts are equal values; to Python, true and 1 are equal too."""
    return "" if value is None else json.dumps(value.static, sort_keys=True)


def _size(value: FeatureValue | None) -> float:
    """Return how much a value gives: 0 without a value, infinity without a limit."""
    if value is None:
        return 0
    if value.enabled is not None:
        return int(value.enabled)
    return float("inf") if value.amount is None else value.amount
