"""A change of a tenant's plan: its request, its time, and the usage over the new limits. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from typing import Any

from tenantmesh.chassis.requests import id_problem, reason_problem, refuse, required
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, OverLimitPolicy, PlanTerms, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.standing import Spent, Standing
from tenantmesh.tenant_svc.features.wording import moment_words
from tenantmesh.tenant_svc.operations.operation import Operation
from tenantmesh.tenant_svc.plans.plan import PlanVersion

__all__ = [
    "PLAN_CHANGE",
    "NewPlanChange",
    "OverLimit",
    "PlanChange",
    "PlanPin",
    "Timing",
    "check_grace",
    "effective_time",
    "over_limits",
    "plan_words",
    "terms_after",
]

PLAN_CHANGE = "MIGRATE_TENANT_PLAN"
"""The type of these operations."""


class Timing(Enum):
    """When a plan changes: now, or when the current plan's billing period ends."""

    IMMEDIATE = "IMMEDIATE"
    NEXT_PERIOD = "NEXT_PERIOD"


@dataclass(frozen=True, slots=True)
class PlanPin:
    """The name of one version of a plan, such as `basic@1`."""

    id: str
    version: int

    @classmethod
    def of(cls, plan: PlanVersion) -> PlanPin:
        """Return the version's name."""
        return cls(plan.id, plan.version)

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, slots=True)
class NewPlanChange:
    """The change that a request asks for. `plan_version` 0 means the newest published one."""

    plan_id: str
    plan_version: int
    timing: Timing
    policy: OverLimitPolicy
    grace_until: datetime | None
    reason: str

    @classmethod
    def checked(
        cls,
        *,
        plan_id: str,
        plan_version: int,
        timing: Timing | None,
        policy: OverLimitPolicy | None,
        grace_until: datetime | None,
        reason: str,
    ) -> NewPlanChange:
        """Check the rules that need no database. None for the timing or the policy stands for an unknown value.

        Raises InvalidArgument that names every field at fault.
        """
        in_grace = policy is OverLimitPolicy.GRACE
        refuse(
            {
                "plan_id": id_problem(plan_id),
                "plan_version": "must not be negative" if plan_version < 0 else None,
                "timing": "must be IMMEDIATE or NEXT_PERIOD" if timing is None else None,
                "over_limit_policy": "must be REJECT, GRACE or READ_ONLY" if policy is None else None,
                "grace_until": _GRACE_PROBLEM if in_grace != (grace_until is not None) else None,
                "reason": reason_problem(reason),
            }
        )
        return cls(plan_id, plan_version, required(timing), required(policy), grace_until, reason)

    @property
    def digest(self) -> str:
        """The digest of the fields. It tells a repeated request from a different one with the same id."""
        return sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """Return the request of the operation."""
        return {
            "plan_id": self.plan_id,
            "plan_version": self.plan_version,
            "timing": self.timing.value,
            "over_limit_policy": self.policy.value,
            "grace_until": None if self.grace_until is None else self.grace_until.astimezone(UTC).isoformat(),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> NewPlanChange:
        """Return the change that `to_json` wrote."""
        grace_until = stored["grace_until"]
        return cls(
            stored["plan_id"],
            int(stored["plan_version"]),
            Timing(stored["timing"]),
            OverLimitPolicy(stored["over_limit_policy"]),
            None if grace_until is None else datetime.fromisoformat(grace_until),
            stored.get("reason", ""),  # operations from before this field have none
        )


_GRACE_PROBLEM = "is required for the over-limit policy GRACE, and only there"


@dataclass(frozen=True, slots=True)
class OverLimit:
    """A feature of which a tenant uses more than a plan allows. `used` is a gauge's level, or the use of this
    period."""

    feature: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class PlanChange:
    """The request and the progress of an operation of this type.

    from_plan, to_plan: the versions that the tenant pins before and after.
    over_limits: the tenant's usage beyond the new plan, as of the last check.
    """

    request: NewPlanChange
    from_plan: PlanPin
    to_plan: PlanPin
    over_limits: tuple[OverLimit, ...] = ()

    @classmethod
    def of(cls, operation: Operation) -> PlanChange:
        """Return the change that the operation makes."""
        progress = operation.progress
        return cls(
            NewPlanChange.from_json(operation.request),
            PlanPin(**progress["from_plan"]),
            PlanPin(**progress["to_plan"]),
            tuple(OverLimit(**over) for over in progress["over_limits"]),
        )

    @property
    def progress(self) -> dict[str, Any]:
        """The progress of the operation."""
        return {
            "from_plan": asdict(self.from_plan),
            "to_plan": asdict(self.to_plan),
            "over_limits": [asdict(over) for over in self.over_limits],
        }


def effective_time(timing: Timing, current: PlanVersion, now: datetime) -> datetime:
    """Return when the plan is to change. Billing periods are those of the UTC calendar."""
    return now if timing is Timing.IMMEDIATE else current.billing_period.end_of(now)


def check_grace(new: NewPlanChange, effective: datetime) -> None:
    """Check that a grace period ends after the plan changes. Raises InvalidArgument."""
    too_early = new.grace_until is not None and new.grace_until <= effective
    problem = f"must be after the plan changes, which is at {effective.astimezone(UTC).isoformat()}"
    refuse({"grace_until": problem if too_early else None})


def over_limits(standing: Standing, plan: PlanVersion) -> tuple[OverLimit, ...]:
    """Return the tenant's usage beyond the plan, by feature. It keeps its overrides and grants on any plan."""
    found = [_over_limit(entitled, plan, standing) for entitled in standing.entitlements.features.values()]
    return tuple(sorted((over for over in found if over is not None), key=lambda over: over.feature))


def _over_limit(entitled: Effective, plan: PlanVersion, standing: Standing) -> OverLimit | None:
    feature = entitled.feature
    value = entitled.override.value if entitled.override is not None else plan.value_of(feature)
    limit = 0 if value is None else value.amount
    if limit is None:
        return None
    match feature.type:
        case FeatureType.GAUGE:
            used = standing.entitlements.levels.get(feature.id, 0)
        case FeatureType.METERED:
            spent = standing.spent.get(feature.id, Spent())
            used = max(0, spent.given - standing.pooled.get(feature.id, 0))
            limit += spent.given - spent.from_plan + entitled.granted  # units that grants gave, and still have
        case _:
            return None
    return OverLimit(feature.id, used, limit) if used > limit else None


def terms_after(new: NewPlanChange, before: TenantEntitlements) -> PlanTerms | None:
    """Return the terms on which the tenant has its new plan; None under REJECT, which has none.

    GRACE keeps the limits that earlier changes promised; the other policies end them.
    """
    match new.policy:
        case OverLimitPolicy.REJECT:
            return None
        case OverLimitPolicy.GRACE:
            promised = before.terms.grace_plans if before.terms.in_grace(before.now) else ()
            others = (plan for plan in promised if PlanPin.of(plan) != PlanPin.of(before.plan))
            return PlanTerms(new.policy, new.grace_until, (before.plan, *others))
        case OverLimitPolicy.READ_ONLY:
            return PlanTerms(new.policy)


def plan_words(new: NewPlanChange, plan: PlanPin) -> str:
    """Return words for the new plan and its terms, such as `basic@1 under GRACE until 2026-12-01T00:00:00Z`."""
    if new.policy is OverLimitPolicy.REJECT:
        return str(plan)
    until = f" until {moment_words(new.grace_until)}" if new.grace_until else ""
    return f"{plan} under {new.policy.value}{until}"
