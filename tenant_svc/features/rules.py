"""The rules for a feature and its values, checked before they are stored.

A draft is a request's unchecked text, so that one answer can name everything wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import Any

from tenantmesh.chassis.requests import Problems, id_problem, refuse, required, text_problem
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.json_values import message_bytes
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.features.feature import WHOLE, FeatureValue, Period, Rollout

__all__ = [
    "MAX_CATALOG",
    "MAX_STATIC_BYTES",
    "FeatureDraft",
    "check_feature",
    "display_name_problem",
    "listed_problem",
    "owner_problem",
    "rollout_problems",
    "static_bytes",
    "unit_problem",
    "value_problem",
]

_MAX_DISPLAY_NAME = 200
_MAX_UNIT = 40
_MAX_OWNER = 200
_MAX_PLANS = 50
_MAX_STATIC = 4096
_DEEPEST_STATIC = 20
"""Readers of messages stop at 100 levels, of which an object in a value takes three."""
MAX_STATIC_BYTES = 512 * 1024
"""The size of all static values of a plan, and of all of a tenant's overrides, as messages. GetEntitlements answers
with two copies of either: they must fit into one message, beside the rest of a thousand features."""
MAX_CATALOG = 1000
"""The most features of the catalog: GetEntitlements answers with each of them."""

_EXPECTED = {
    FeatureType.BOOLEAN: "`enabled`",
    FeatureType.STATIC: "`static`, and not null",
    FeatureType.METERED: "`limit`, or `unlimited` as true",
    FeatureType.GAUGE: "`limit`, or `unlimited` as true",
}


@dataclass(frozen=True, slots=True)
class FeatureDraft:
    """A feature as a request describes it. None stands for a missing or unknown value."""

    id: str
    type: FeatureType | None
    display_name: str
    unit: str
    period: Period | None
    rollout: Rollout | None
    owner: str = ""


def value_problem(value: FeatureValue | None, feature_type: FeatureType) -> str | None:
    """Return the rule for values of the type that the value breaks, or None."""
    if value is None or not value.fits(feature_type):
        return f"must be {_EXPECTED[feature_type]}: the feature is {feature_type.value}"
    if value.limit is not None and not 0 <= value.limit <= LARGEST_AMOUNT:
        return f"must be 0 to {LARGEST_AMOUNT}, or `unlimited`"
    return None if value.static is None else _static_problem(value.static)


def _static_problem(value: Any) -> str | None:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=True)
    except ValueError:
        return "must contain finite numbers only"
    if _is_deeper(value, _DEEPEST_STATIC):
        return f"must be nested at most {_DEEPEST_STATIC} levels deep"
    if len(text) > _MAX_STATIC:
        return f"must be at most {_MAX_STATIC} characters of JSON"
    if "\\u0000" in text.replace("\\\\", ""):  # PostgreSQL stores no such character
        return "must hold no text with a null character"
    return None


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether more than so many lists and objects stand in each other."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if members is None:
        return False
    return levels == 0 or any(_is_deeper(member, levels - 1) for member in members)


def static_bytes(values: Iterable[FeatureValue]) -> int:
    """Return the size of the STATIC values among them, as messages: a number has eleven bytes there."""
    return sum(message_bytes(value.static) for value in values if value.static is not None)


def check_feature(draft: FeatureDraft, plans: Container[str]) -> FeatureType:
    """Check a new feature and return its type. `plans` are the ids of all plans. Raises InvalidArgument that names
    every field at fault."""
    counted = draft.type in {FeatureType.METERED, FeatureType.GAUGE}
    refuse(
        {
            "feature.id": id_problem(draft.id),
            "feature.type": "is required" if draft.type is None else None,
            "feature.display_name": display_name_problem(draft.display_name),
            "feature.unit": unit_problem(draft.unit, counted=counted),
            "feature.period": _period_problem(draft),
            "feature.owner": owner_problem(draft.owner, draft.type),
            **rollout_problems(draft.rollout, draft.type, plans),
        }
    )
    return required(draft.type)


def display_name_problem(name: str) -> str | None:
    """Return the rule for names shown to people that the name breaks, or None."""
    return text_problem(name, _MAX_DISPLAY_NAME)


def unit_problem(unit: str, *, counted: bool) -> str | None:
    """Return the rule that the unit breaks, or None. A `counted` feature must have a unit."""
    if counted:
        return text_problem(unit, _MAX_UNIT)
    return "is for METERED and GAUGE features only" if unit else None


def owner_problem(owner: str, feature_type: FeatureType | None) -> str | None:
    """Return the rule that the owner breaks, or None. A feature may have none."""
    if not owner:
        return None
    return text_problem(owner, _MAX_OWNER) if feature_type is FeatureType.GAUGE else "is for GAUGE features only"


def _period_problem(draft: FeatureDraft) -> str | None:
    if draft.type is FeatureType.METERED:
        return "is required for METERED features" if draft.period is None else None
    return None if draft.period is None else "is for METERED features only"


def rollout_problems(rollout: Rollout | None, feature_type: FeatureType | None, plans: Container[str]) -> Problems:
    """Return the rules that a rollout of a feature of the type breaks, by field."""
    if rollout is None:
        return {}
    if feature_type is not FeatureType.BOOLEAN:
        return {"feature.rollout": "is for BOOLEAN features only"}
    listed = rollout.plan_ids
    if len(listed) > _MAX_PLANS:
        return {"feature.rollout.plan_ids": f"must be at most {_MAX_PLANS}"}
    return {
        "feature.rollout.basis_points": None if 0 <= rollout.basis_points <= WHOLE else f"must be 0 to {WHOLE}",
        **{
            f"feature.rollout.plan_ids[{index}]": listed_problem(plan, listed[:index], plans, "plan")
            for index, plan in enumerate(listed)
        },
    }


def listed_problem(name: str, before: Container[str], known: Container[str], kind: str) -> str | None:
    """Return the rule that a name in a list breaks, or None. It must be one of the `known`, and not among those
    `before` it."""
    if name not in known:
        return f"unknown {kind}; see List{kind.capitalize()}s"
    return "is listed twice" if name in before else None
