"""Putting a tenant on another plan: what may be asked for, when it happens, and what would be over. Pure rules: the
steps by which it is done are in `steps.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from tenantmesh.interceptors.names import in_metadata, in_words
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, OverLimitPolicy, PlanTerms, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.rules import reason_problem
from tenantmesh.tenant_svc.features.wording import moment_words
from tenantmesh.tenant_svc.plans.plan import PlanVersion
from tenantmesh.tenant_svc.plans.rules import id_problem

__all__ = [
    "NewMigration",
    "OverLimit",
    "PlanPin",
    "Timing",
    "Usage",
    "check_grace",
    "effective_time",
    "move_words",
    "over_limit",
    "over_limits",
    "plan_not_found",
    "plan_not_published",
    "terms_after",
]


class Timing(Enum):
    """When a plan changes: now, or at the end of the current plan's billing period."""

    IMMEDIATE = "IMMEDIATE"
    NEXT_PERIOD = "NEXT_PERIOD"


@dataclass(frozen=True, slots=True)
class PlanPin:
    """One version of a plan, by its name."""

    id: str
    version: int

    @classmethod
    def of(cls, plan: PlanVersion) -> PlanPin:
        """The version's name."""
        return cls(plan.id, plan.version)

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"


@dataclass(frozen=True, slots=True)
class NewMigration:
    """What is asked for, and why. `plan_version` 0 means the newest that is published."""

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
    ) -> NewMigration:
        """Checks the rules that need no database; None for the timing or the policy is a value that nobody knows.

        Raises InvalidArgument that names every field at fault.
        """
        in_grace = policy is OverLimitPolicy.GRACE
        problems = {
            "plan_id": id_problem(plan_id),
            "plan_version": "must not be negative" if plan_version < 0 else None,
            "timing": "must be IMMEDIATE or NEXT_PERIOD" if timing is None else None,
            "over_limit_policy": "must be REJECT, GRACE or READ_ONLY" if policy is None else None,
            "grace_until": _GRACE_PROBLEM if in_grace != (grace_until is not None) else None,
            "reason": reason_problem(reason),
        }
        violations = [FieldViolation(field, problem) for field, problem in problems.items() if problem]
        if violations or timing is None or policy is None:
            raise InvalidArgument.fields(violations)
        return cls(plan_id, plan_version, timing, policy, grace_until, reason)

    @property
    def digest(self) -> str:
        """The same for the same fields, so that a repeated request can be told from another with its id."""
        return sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """As the table holds it."""
        return {
            "plan_id": self.plan_id,
            "plan_version": self.plan_version,
            "timing": self.timing.value,
            "over_limit_policy": self.policy.value,
            "grace_until": None if self.grace_until is None else self.grace_until.astimezone(UTC).isoformat(),
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, str]) -> NewMigration:
        """What `to_json` wrote."""
        grace_until = stored["grace_until"]
        return cls(
            stored["plan_id"],
            int(stored["plan_version"]),
            Timing(stored["timing"]),
            OverLimitPolicy(stored["over_limit_policy"]),
            None if grace_until is None else datetime.fromisoformat(grace_until),
            stored.get("reason", ""),  # operations that began before there were reasons have none
        )


_GRACE_PROBLEM = "is required for the over-limit policy GRACE, and only there"


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been given out of an allowance in this period: how much of it came from the plan, and how much lies
    ready for any process and is not used yet."""

    given: int
    from_plan: int
    ready: int = 0


@dataclass(frozen=True, slots=True)
class OverLimit:
    """A feature of which a tenant uses more than a plan allows: a gauge's level, or what is used in this period."""

    feature: str
    used: int
    limit: int


def effective_time(timing: Timing, current: PlanVersion, now: datetime) -> datetime:
    """When the plan is to change. Billing periods are those of the UTC calendar."""
    return now if timing is Timing.IMMEDIATE else current.billing_period.end_of(now)


def check_grace(new: NewMigration, effective: datetime) -> None:
    """Raises InvalidArgument for a grace that would be over before the plan changes."""
    if new.grace_until is not None and new.grace_until <= effective:
        problem = f"must be after the plan changes, which is at {effective.astimezone(UTC).isoformat()}"
        raise InvalidArgument.fields([FieldViolation("grace_until", problem)])


def over_limits(
    entitlements: TenantEntitlements, plan: PlanVersion, usage: Mapping[str, Usage]
) -> tuple[OverLimit, ...]:
    """What the tenant would use beyond the plan, by feature. Its overrides and grants go with it to any plan.

    `usage` holds, by METERED feature, what is used in the period that `entitlements.now` is in.
    """
    found = (_over_limit(each, plan, entitlements.levels, usage) for each in entitlements.features.values())
    return tuple(sorted((each for each in found if each is not None), key=lambda each: each.feature))


def _over_limit(
    each: Effective, plan: PlanVersion, levels: Mapping[str, int], usage: Mapping[str, Usage]
) -> OverLimit | None:
    feature = each.feature
    value = each.override.value if each.override is not None else plan.value_of(feature)
    limit = 0 if value is None else value.amount
    if limit is None:
        return None
    match feature.type:
        case FeatureType.GAUGE:
            used = levels.get(feature.id, 0)
        case FeatureType.METERED:
            spent = usage.get(feature.id, Usage(0, 0))
            used = max(0, spent.given - spent.ready)
            limit += spent.given - spent.from_plan + each.granted  # what grants gave, and still have
        case _:
            return None
    return OverLimit(feature.id, used, limit) if used > limit else None


def terms_after(new: NewMigration, before: TenantEntitlements) -> PlanTerms | None:
    """How the tenant came to its new plan; None where that does not matter any more. The newest move decides: under
    GRACE it goes on with what the tenant was promised before, under another policy that ends."""
    match new.policy:
        case OverLimitPolicy.REJECT:
            return None
        case OverLimitPolicy.GRACE:
            promised = before.terms.grace_plans if before.terms.in_grace(before.now) else ()
            others = (each for each in promised if PlanPin.of(each) != PlanPin.of(before.plan))
            return PlanTerms(new.policy, new.grace_until, (before.plan, *others))
        case OverLimitPolicy.READ_ONLY:
            return PlanTerms(new.policy)


def move_words(new: NewMigration, plan: PlanPin) -> str:
    """Where the tenant was moved to and on which terms, such as `basic@1 under GRACE until 2026-12-01T00:00:00Z`, for
    the history. REJECT leaves no terms."""
    if new.policy is OverLimitPolicy.REJECT:
        return str(plan)
    until = f" until {moment_words(new.grace_until)}" if new.grace_until else ""
    return f"{plan} under {new.policy.value}{until}"


def plan_not_found(plan_id: str, version: int) -> NotFound:
    """The error for a plan or version that never was."""
    which = f"version {version} of " if version else ""
    return NotFound("PLAN_NOT_FOUND", f"There is no {which}plan {plan_id}. List the plans.", metadata={"plan": plan_id})


def plan_not_published(plan_id: str, version: int) -> FailedPrecondition:
    """The error for a draft, an archived version, or a plan without a published one."""
    which = f"Version {version} of plan {plan_id} is not published" if version else f"Plan {plan_id} is not published"
    return FailedPrecondition(
        "PLAN_NOT_PUBLISHED", f"{which}, so tenants can't be put on it.", metadata={"plan": plan_id}
    )


def over_limit(plan: PlanPin, over: Sequence[OverLimit]) -> FailedPrecondition:
    """The error for a tenant that uses more than the plan allows."""
    listed = in_words([f"{each.feature} ({each.used} of {each.limit})" for each in over])
    return FailedPrecondition(
        "OVER_LIMIT",
        f"The tenant uses more than {plan} allows: {listed}. Lower its usage, or choose another over-limit policy.",
        metadata={"plan": plan.id, **in_metadata("features", [each.feature for each in over])},
    )
