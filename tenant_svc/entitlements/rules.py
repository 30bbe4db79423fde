"""The rules of what operators ask for: an override, a grant, a check. Each raises InvalidArgument that names every
field at fault. What only the database knows, such as its clock, is passed in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from tenantmesh.chassis.texts import text_problem
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.plans.plan import FeatureDef, FeatureValue
from tenantmesh.tenant_svc.plans.rules import refuse, value_problem

__all__ = [
    "Check",
    "GrantDraft",
    "OverrideDraft",
    "check_check",
    "check_grant",
    "check_override",
    "checked_reason",
    "reason_problem",
]

_MAX_REASON = 500
_MAX_PRIORITY = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """A question: may the tenant, named by its id or slug, use so much of the feature."""

    tenant: str
    feature: str
    amount: int


@dataclass(frozen=True, slots=True)
class OverrideDraft:
    """An override as a request describes it. `named` is what the override itself calls its feature; it may be empty."""

    feature: str
    named: str
    value: FeatureValue | None
    reason: str
    expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class GrantDraft:
    """A grant as a request describes it; None stands for what it leaves to the defaults."""

    feature: str
    amount: int
    priority: int
    effective_time: datetime | None
    expire_time: datetime | None
    max_rollover: int | None
    min_rollover: int
    reason: str

    @property
    def digest(self) -> str:
        """The same for the same fields, so that a repeated request can be told from another with its id."""
        times = [each and each.isoformat() for each in (self.effective_time, self.expire_time)]
        rest = [self.feature, self.amount, self.priority, self.max_rollover, self.min_rollover, self.reason]
        return sha256(json.dumps([*times, *rest]).encode()).hexdigest()

    @property
    def most_left(self) -> int:
        """The most that is left at a new period."""
        return self.amount if self.max_rollover is None else self.max_rollover


def check_check(check: Check) -> None:
    """A tenant, a feature, and an amount from 0."""
    refuse(
        {
            "id": None if check.tenant else "is required",
            "feature": None if check.feature else "is required",
            "amount": None if check.amount >= 0 else "must not be negative",
        }
    )


def checked_reason(reason: str) -> str:
    """A reason, which may be empty."""
    refuse({"reason": reason_problem(reason)})
    return reason


def check_override(draft: OverrideDraft, feature: FeatureDef, now: datetime) -> FeatureValue:
    """A value of the feature's type that does not expire before it is set. Returns the value."""
    problem = value_problem(draft.value, feature.type)
    refuse(
        {
            "override.feature": None if draft.named in {"", draft.feature} else "must be the feature, or empty",
            "override.value": problem,
            "override.reason": reason_problem(draft.reason),
            "override.expire_time": _expiry_problem(draft.expire_time, now),
        }
    )
    if draft.value is None:
        raise ValueError("a value that is none was not refused")
    return draft.value


def check_grant(draft: GrantDraft, feature: FeatureDef, now: datetime) -> None:
    """A grant that can be used: of a METERED feature, of at least 1, and not over before it begins."""
    begins = max(draft.effective_time or now, now)
    most = draft.most_left
    refuse(
        {
            "grant.feature": None if feature.type is FeatureType.METERED else "must be a METERED feature",
            "grant.amount": None if 1 <= draft.amount <= LARGEST_AMOUNT else f"must be 1 to {LARGEST_AMOUNT}",
            "grant.priority": None if 0 <= draft.priority <= _MAX_PRIORITY else f"must be 0 to {_MAX_PRIORITY}",
            "grant.expire_time": _expiry_problem(draft.expire_time, begins),
            "grant.max_rollover": None if 0 <= most <= draft.amount else "must be 0 to the amount",
            "grant.min_rollover": None if 0 <= draft.min_rollover <= most else "must be 0 to max_rollover",
            "grant.reason": reason_problem(draft.reason),
        }
    )


def reason_problem(reason: str) -> str | None:
    """Why it is no reason, or None when it is one, as an empty one is."""
    return text_problem(reason, _MAX_REASON) if reason else None


def _expiry_problem(expire_time: datetime | None, begins: datetime) -> str | None:
    if expire_time is None or expire_time > begins:
        return None
    return "must be in the future, and after it begins"
