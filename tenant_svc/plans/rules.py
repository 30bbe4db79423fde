"""The rules for a plan, checked before it is stored.

A draft is a request's unchecked text, so that one answer can name everything wrong with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenantmesh.chassis.requests import Problems, id_problem, refuse, required
from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period
from tenantmesh.tenant_svc.features.rules import (
    MAX_STATIC_BYTES,
    display_name_problem,
    listed_problem,
    static_bytes,
    value_problem,
)
from tenantmesh.tenant_svc.plans.plan import PlanVersion

__all__ = ["PlanDraft", "RateDraft", "check_plan"]

_MAX_FEATURES = 200
_MAX_RATES = 50
_RATES = (0.001, 1_000_000.0)
_MAX_BURST = 1_000_000


@dataclass(frozen=True, slots=True)
class RateDraft:
    """A burst limit as a request describes it."""

    name: str
    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """A plan as a request describes it: features and rates in its order, with repetitions.

    Once checked, `values`, `limits` and `period` hold its content. `listed` belongs to the plan, not to a version.
    """

    id: str
    display_name: str
    features: Sequence[tuple[str, FeatureValue | None]]
    all_features: bool
    rates: Sequence[RateDraft]
    billing_period: Period | None
    listed: bool = False

    @property
    def values(self) -> dict[str, FeatureValue]:
        """The values of a checked draft, by feature."""
        return {name: value for name, value in self.features if value is not None}

    @property
    def limits(self) -> dict[str, Rate]:
        """The burst limits of a checked draft by class."""
        return {rate.name: Rate(rate.per_second, rate.burst) for rate in self.rates}

    @property
    def period(self) -> Period:
        """The billing period of a checked draft."""
        return required(self.billing_period)

    def matches(self, plan: PlanVersion) -> bool:
        """Return whether a checked draft has the content of the version."""
        mine = (self.display_name, self.all_features, self.limits, self.period)
        stored = (plan.display_name, plan.all_features, plan.rates, plan.billing_period)
        return mine == stored and _text(self.values) == _text(plan.features)


def _text(values: Mapping[str, FeatureValue]) -> str:
    """Return the values as text. Equal texts are equal values; to Python, true and 1 are equal too."""
    return json.dumps({name: value.to_json() for name, value in values.items()}, sort_keys=True)


def check_plan(draft: PlanDraft, catalog: Mapping[str, FeatureDef]) -> None:
    """Check a draft against the features of the catalog. Raises InvalidArgument that names every field at fault."""
    refuse(
        {
            "plan.features": _count_problem(draft.features, _MAX_FEATURES),
            "plan.rates": _count_problem(draft.rates, _MAX_RATES),
        }
    )
    refuse(
        {
            "plan.id": id_problem(draft.id),
            "plan.display_name": display_name_problem(draft.display_name),
            "plan.billing_period": "is required" if draft.billing_period is None else None,
            **_feature_problems(draft, catalog),
            **_rate_problems(draft.rates),
        }
    )
    size = static_bytes(draft.values.values())
    most = f"static values must have at most {MAX_STATIC_BYTES} bytes in all, as messages; these have {size}"
    refuse({"plan.features": most if size > MAX_STATIC_BYTES else None})


def _count_problem(listed: Sequence[object], most: int) -> str | None:
    return f"must be at most {most}" if len(listed) > most else None


def _feature_problems(draft: PlanDraft, catalog: Mapping[str, FeatureDef]) -> Problems:
    problems: dict[str, str | None] = {}
    seen: set[str] = set()
    for index, (name, value) in enumerate(draft.features):
        field = f"plan.features[{index}]"
        problems[f"{field}.feature"] = listed_problem(name, seen, catalog, "feature")
        seen.add(name)
        if name in catalog:
            problems[f"{field}.value"] = value_problem(value, catalog[name].type)
        if draft.all_features and value is not None and value.enabled is False:
            problems[f"{field}.value"] = "can't be off while `all_features` is on, which includes it"
    return problems


def _rate_problems(rates: Sequence[RateDraft]) -> Problems:
    problems: dict[str, str | None] = {}
    seen: set[str] = set()
    low, high = _RATES
    for index, rate in enumerate(rates):
        field = f"plan.rates[{index}]"
        twice = "is listed twice" if rate.name in seen else None
        seen.add(rate.name)
        fits = math.isfinite(rate.per_second) and low <= rate.per_second <= high
        problems[f"{field}.rate_class"] = id_problem(rate.name) or twice
        problems[f"{field}.per_second"] = None if fits else f"must be {low} to {high:.0f}"
        problems[f"{field}.burst"] = None if 1 <= rate.burst <= _MAX_BURST else f"must be 1 to {_MAX_BURST}"
    return problems
