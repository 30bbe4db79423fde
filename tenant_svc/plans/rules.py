"""The rules of the catalog: what a feature, a plan and a value must be like before they are stored.

A draft here is what a request says, unchecked, so that everything wrong with it can be named at once.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tenantmesh.chassis.texts import text_problem
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.plans.plan import WHOLE, FeatureDef, FeatureType, FeatureValue, Period, PlanVersion, Rollout

__all__ = [
    "FeatureDraft",
    "PlanDraft",
    "RateDraft",
    "check_feature",
    "check_plan",
    "checked",
    "display_name_problem",
    "id_problem",
    "refuse",
    "rollout_problems",
    "unit_problem",
    "value_problem",
]

_ID = re.compile(r"[a-z][a-z0-9_]{1,63}")
_MAX_DISPLAY_NAME = 200
_MAX_UNIT = 40
_MAX_FEATURES = 200
_MAX_RATES = 50
_MAX_PLANS = 50
_MAX_STATIC = 4096
_RATES = (0.001, 1_000_000.0)
_MAX_BURST = 1_000_000

_SAID = {
    FeatureType.BOOLEAN: "`enabled`",
    FeatureType.STATIC: "`static`, and not null",
    FeatureType.METERED: "`limit`, or `unlimited` as true",
    FeatureType.GAUGE: "`limit`, or `unlimited` as true",
}

_Found = TypeVar("_Found")

Problems = Mapping[str, str | None]
"""By field, what is wrong with it; None where nothing is."""


@dataclass(frozen=True, slots=True)
class FeatureDraft:
    """A feature as a request describes it. None stands for what is missing or unknown."""

    id: str
    type: FeatureType | None
    display_name: str
    unit: str
    period: Period | None
    rollout: Rollout | None


@dataclass(frozen=True, slots=True)
class RateDraft:
    """A burst limit as a request describes it."""

    name: str
    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """A plan as a request describes it: features and rates in its order, also those that it lists twice.

    Once checked, `values`, `limits` and `period` say what it is. `listed` is the plan's, and no part of a version.
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
        """What a checked draft says of each feature."""
        return {name: value for name, value in self.features if value is not None}

    @property
    def limits(self) -> dict[str, Rate]:
        """The burst limits of a checked draft by class."""
        return {rate.name: Rate(rate.per_second, rate.burst) for rate in self.rates}

    @property
    def period(self) -> Period:
        """The billing period of a checked draft."""
        return checked(self.billing_period)

    def says(self, plan: PlanVersion) -> bool:
        """Whether a checked draft says what the version does already."""
        mine = (self.display_name, self.all_features, self.limits, self.period)
        stored = (plan.display_name, plan.all_features, plan.rates, plan.billing_period)
        return mine == stored and _text(self.values) == _text(plan.features)


def _text(values: Mapping[str, FeatureValue]) -> str:
    """Values so that equal texts are equal values: to Python, true and 1 are equal too."""
    return json.dumps({name: value.to_json() for name, value in values.items()}, sort_keys=True)


def checked(found: _Found | None) -> _Found:
    """What the rules require to be there. Raises ValueError when nobody has checked."""
    if found is None:
        raise ValueError("a draft that breaks the rules was to be stored")
    return found


def id_problem(text: str) -> str | None:
    """Why neither a feature nor a plan can be called this, or None when one can."""
    if _ID.fullmatch(text):
        return None
    return "must be 2 to 64 of a-z, 0-9 and underscores, starting with a letter"


def value_problem(value: FeatureValue | None, type_: FeatureType) -> str | None:
    """Why no feature of the type can have the value, or None when one can."""
    if value is None or not value.fits(type_):
        return f"must be {_SAID[type_]}: the feature is {type_.value}"
    if value.limit is not None and not 0 <= value.limit <= LARGEST_AMOUNT:
        return f"must be 0 to {LARGEST_AMOUNT}, or `unlimited`"
    return None if value.static is None else _static_problem(value.static)


def _static_problem(value: Any) -> str | None:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    except ValueError:
        return "must hold no number that is not finite"
    if len(text) > _MAX_STATIC:
        return f"must be at most {_MAX_STATIC} characters of JSON"
    if "\\u0000" in text.replace("\\\\", ""):  # PostgreSQL stores no such character
        return "must hold no text with a null character"
    return None


def check_feature(draft: FeatureDraft, plans: Container[str]) -> FeatureType:
    """Checks a new feature and returns its type. `plans` are the ids of the plans there are. Raises InvalidArgument
    that names every field at fault."""
    counted = draft.type in {FeatureType.METERED, FeatureType.GAUGE}
    refuse(
        {
            "feature.id": id_problem(draft.id),
            "feature.type": "is required" if draft.type is None else None,
            "feature.display_name": display_name_problem(draft.display_name),
            "feature.unit": unit_problem(draft.unit, counted=counted),
            "feature.period": _period_problem(draft),
            **rollout_problems(draft.rollout, draft.type, plans),
        }
    )
    return checked(draft.type)


def display_name_problem(name: str) -> str | None:
    """Why nothing can be shown to people under this name, or None when something can."""
    return text_problem(name, _MAX_DISPLAY_NAME)


def unit_problem(unit: str, *, counted: bool) -> str | None:
    """Why a feature can't be counted in this, or None when it can. `counted` is whether it is counted at all."""
    if counted:
        return text_problem(unit, _MAX_UNIT)
    return "is for METERED and GAUGE features only" if unit else None


def _period_problem(draft: FeatureDraft) -> str | None:
    if draft.type is FeatureType.METERED:
        return "is required for METERED features" if draft.period is None else None
    return None if draft.period is None else "is for METERED features only"


def rollout_problems(rollout: Rollout | None, type_: FeatureType | None, plans: Container[str]) -> Problems:
    """What is wrong with a rollout of a feature of the type."""
    if rollout is None:
        return {}
    if type_ is not FeatureType.BOOLEAN:
        return {"feature.rollout": "is for BOOLEAN features only"}
    listed = rollout.plan_ids
    if len(listed) > _MAX_PLANS:
        return {"feature.rollout.plan_ids": f"must be at most {_MAX_PLANS}"}
    return {
        "feature.rollout.basis_points": None if 0 <= rollout.basis_points <= WHOLE else f"must be 0 to {WHOLE}",
        **{
            f"feature.rollout.plan_ids[{index}]": _listed_problem(plan, listed[:index], plans, "plan")
            for index, plan in enumerate(listed)
        },
    }


def _listed_problem(name: str, before: Container[str], known: Container[str], kind: str) -> str | None:
    if name not in known:
        return f"is no {kind} there is; list the {kind}s"
    return "is listed twice" if name in before else None


def check_plan(draft: PlanDraft, catalog: Mapping[str, FeatureDef]) -> None:
    """Checks a draft against the features there are. Raises InvalidArgument that names every field at fault."""
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


def _count_problem(listed: Sequence[object], most: int) -> str | None:
    return f"must be at most {most}" if len(listed) > most else None


def _feature_problems(draft: PlanDraft, catalog: Mapping[str, FeatureDef]) -> Problems:
    problems: dict[str, str | None] = {}
    seen: set[str] = set()
    for index, (name, value) in enumerate(draft.features):
        field = f"plan.features[{index}]"
        problems[f"{field}.feature"] = _listed_problem(name, seen, catalog, "feature")
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


def refuse(problems: Problems) -> None:
    """Raises InvalidArgument that names the fields with a problem, unless there is none."""
    violations = [FieldViolation(field, problem) for field, problem in problems.items() if problem]
    if violations:
        raise InvalidArgument.fields(violations)
