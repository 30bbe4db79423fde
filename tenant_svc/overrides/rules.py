"""The rules for an override, checked before it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tenantmesh.chassis.requests import expiry_problem, reason_problem, refuse, required
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue
from tenantmesh.tenant_svc.features.rules import value_problem

__all__ = ["OverrideDraft", "check_override"]


@dataclass(frozen=True, slots=True)
class OverrideDraft:
    """An override as a request describes it. `named` is the feature's name inside the override; it may be empty."""

    feature: str
    named: str
    value: FeatureValue | None
    reason: str
    expire_time: datetime | None


def check_override(draft: OverrideDraft, feature: FeatureDef, now: datetime) -> FeatureValue:
    """Return the override's value. Raises InvalidArgument unless it is of the feature's type and expires after
    `now`."""
    refuse(
        {
            "override.feature": None if draft.named in {"", draft.feature} else "must be the feature, or empty",
            "override.value": value_problem(draft.value, feature.type),
            "override.reason": reason_problem(draft.reason),
            "override.expire_time": expiry_problem(draft.expire_time, now),
        }
    )
    return required(draft.value)
