"""The entitlements of a tenant at one moment, computed from its plan, overrides and grants. Pure: no clock, no
database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import reduce

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.tenant_svc.balances.grant import Grant, burn_order, granted
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue
from tenantmesh.tenant_svc.plans.plan import PlanVersion

__all__ = [
    "Circumstances",
    "Effective",
    "OverLimitPolicy",
    "Override",
    "PlanTerms",
    "Source",
    "TenantEntitlements",
    "effective",
    "larger",
]


class Source(Enum):
    """The source of a value. UNSPECIFIED: nothing gives the feature."""

    UNSPECIFIED = "UNSPECIFIED"
    PLAN = "PLAN"
    OVERRIDE = "OVERRIDE"
    ROLLOUT = "ROLLOUT"
    GRACE = "GRACE"


class OverLimitPolicy(Enum):
    """The policy for a tenant that uses more than its new plan allows."""

    REJECT = "REJECT"
    GRACE = "GRACE"
    READ_ONLY = "READ_ONLY"


@dataclass(frozen=True, slots=True)
class Override:
    """A tenant's value of a feature in place of its plan's, until it expires."""

    feature: str
    value: FeatureValue
    reason: str
    expire_time: datetime | None
    create_time: datetime

    def in_force(self, now: datetime) -> bool:
        """Return whether it has not expired."""
        return self.expire_time is None or now < self.expire_time


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """The terms on which the tenant was put on its plan.

    The limits of `grace_plans` hold until `grace_until` where they are larger than the plan's.
    """

    over_limit_policy: OverLimitPolicy = OverLimitPolicy.REJECT
    grace_until: datetime | None = None
    grace_plans: tuple[PlanVersion, ...] = ()

    def in_grace(self, now: datetime) -> bool:
        """Return whether the old limits still hold."""
        return self.grace_until is not None and now < self.grace_until

    def promised(self, feature: FeatureDef, now: datetime) -> list[FeatureValue | None]:
        """Return the values of the feature in the plans whose limits still hold."""
        return [plan.value_of(feature) for plan in self.grace_plans] if self.in_grace(now) else []


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The facts from which one tenant's entitlements follow, as of `now`.

    published: the newest published version of each plan.
    nameable: the plans whose names the reader may see.
    overrides, grants: all of them, in force or not.
    levels: those of gauges, by feature.
    """

    tenant_id: TenantId
    state: TenantState
    now: datetime
    revision: int
    plan: PlanVersion
    features: Mapping[str, FeatureDef]
    published: Sequence[PlanVersion]
    nameable: frozenset[str]
    overrides: Sequence[Override]
    grants: Sequence[Grant]
    terms: PlanTerms
    levels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Effective:
    """One feature as a tenant has it.

    value: the value in force, without grants; None where nothing gives the feature.
    override: the tenant's override, if one is in force.
    available_in: of a BOOLEAN feature that is off, the plans that have it and that the reader may see.
    grants: those in force, in burn order; METERED features only.
    granted: the units that they still add to the allowance of the period.
    """

    feature: FeatureDef
    value: FeatureValue | None
    source: Source
    plan_value: FeatureValue | None
    override: Override | None
    available_in: tuple[str, ...]
    grants: tuple[Grant, ...]
    granted: int

    @property
    def limit(self) -> int | None:
        """A METERED feature's allowance without grants, or the highest level of a GAUGE; None is unlimited."""
        return 0 if self.value is None else self.value.amount

    @property
    def enabled(self) -> bool:
        """Whether the feature is on: a BOOLEAN one by its value, a STATIC one with any value, others with a limit above
        zero or a grant."""
        if self.feature.type is FeatureType.BOOLEAN:
            return self.value is not None and bool(self.value.enabled)
        if self.feature.type is FeatureType.STATIC:
            return self.value is not None
        return self.limit is None or self.limit > 0 or bool(self.grants)


@dataclass(frozen=True, slots=True)
class TenantEntitlements:
    """All entitlements of a tenant.

    now: the database's clock when they were read; periods are counted by it.
    state: whether the tenant is served.
    terms: the terms on which it was put on its plan.
    levels: those of its gauges; over_limit: the gauges above their limit.
    read_only: whether methods that change data are refused because of them.
    valid_for: how long these stay true without a change; None is for ever.
    nameable: the plans whose names the reader may see: the tenant's own and the listed ones, or all.
    """

    tenant_id: TenantId
    state: TenantState
    now: datetime
    plan: PlanVersion
    revision: int
    features: Mapping[str, Effective]
    rates: Mapping[str, Rate]
    terms: PlanTerms
    levels: Mapping[str, int]
    over_limit: tuple[str, ...]
    read_only: bool
    valid_for: timedelta | None
    nameable: frozenset[str]


def effective(facts: Circumstances) -> TenantEntitlements:
    """Return the entitlements in force.

    An override replaces the plan's value. During a grace period the largest of the old and the new limits holds. A
    BOOLEAN feature that the plan lacks is on where its rollout includes the tenant.
    """
    overrides = {override.feature: override for override in facts.overrides if override.in_force(facts.now)}
    grants = _by_feature(burn_order(facts.grants, facts.now))
    found = {
        feature_id: _effective(facts, feature, overrides.get(feature_id), grants.get(feature_id, ()))
        for feature_id, feature in facts.features.items()
    }
    over_limit = tuple(
        sorted(
            feature_id for feature_id, entitled in found.items() if _is_over(entitled, facts.levels.get(feature_id, 0))
        )
    )
    return TenantEntitlements(
        tenant_id=facts.tenant_id,
        state=facts.state,
        now=facts.now,
        plan=facts.plan,
        revision=facts.revision,
        features=found,
        rates=facts.plan.rates,
        terms=facts.terms,
        levels=facts.levels,
        over_limit=over_limit,
        read_only=bool(over_limit) and facts.terms.over_limit_policy is OverLimitPolicy.READ_ONLY,
        valid_for=_valid_for(facts),
        nameable=facts.nameable,
    )


def larger(one: FeatureValue | None, other: FeatureValue | None) -> FeatureValue | None:
    """Return the limit that allows more, the first when they are equal. None allows nothing."""
    if one is None or other is None:
        return one or other
    if one.amount is None or other.amount is None:
        return one if one.amount is None else other
    return other if other.amount > one.amount else one


def _effective(
    facts: Circumstances, feature: FeatureDef, override: Override | None, grants: Sequence[Grant]
) -> Effective:
    plan_value = facts.plan.value_of(feature)
    value, source = (override.value, Source.OVERRIDE) if override else _without_override(facts, feature, plan_value)
    lacking = feature.type is FeatureType.BOOLEAN and not (value is not None and value.enabled)
    metered = feature.type is FeatureType.METERED and feature.period is not None
    return Effective(
        feature=feature,
        value=value,
        source=source,
        plan_value=plan_value,
        override=override,
        available_in=_plans_with(feature, facts) if lacking else (),
        grants=tuple(grants) if metered else (),
        granted=granted(grants, facts.now, feature.period.start_of(facts.now)) if metered and feature.period else 0,
    )


def _without_override(
    facts: Circumstances, feature: FeatureDef, plan_value: FeatureValue | None
) -> tuple[FeatureValue | None, Source]:
    if feature.type is FeatureType.BOOLEAN:
        lacking = plan_value is None or not plan_value.enabled
        if lacking and feature.opened_to(facts.tenant_id, facts.plan.id):
            return FeatureValue.of_boolean(True), Source.ROLLOUT
    elif feature.type is not FeatureType.STATIC:
        value = reduce(larger, facts.terms.promised(feature, facts.now), plan_value)
        if value is not plan_value:
            return value, Source.GRACE
    return plan_value, Source.UNSPECIFIED if plan_value is None else Source.PLAN


def _plans_with(feature: FeatureDef, facts: Circumstances) -> tuple[str, ...]:
    values = ((plan.id, plan.value_of(feature)) for plan in facts.published if plan.id in facts.nameable)
    return tuple(sorted(plan_id for plan_id, value in values if value is not None and value.enabled))


def _is_over(entitled: Effective, level: int) -> bool:
    return entitled.feature.type is FeatureType.GAUGE and entitled.limit is not None and level > entitled.limit


def _by_feature(grants: Iterable[Grant]) -> dict[str, list[Grant]]:
    found: dict[str, list[Grant]] = {}
    for grant in grants:
        found.setdefault(grant.feature, []).append(grant)
    return found


def _valid_for(facts: Circumstances) -> timedelta | None:
    """Return the time until the next moment at which a grant, an override or the grace period begins or ends."""
    moments: set[datetime | None] = {facts.terms.grace_until, *(override.expire_time for override in facts.overrides)}
    for grant in facts.grants:
        if grant.void_time is None:
            moments |= {grant.effective_time, grant.expire_time}
    return min((moment - facts.now for moment in _known(moments) if moment > facts.now), default=None)


def _known(moments: Collection[datetime | None]) -> list[datetime]:
    return [moment for moment in moments if moment is not None]
