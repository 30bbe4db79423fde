"""The explanation of a decision: one sentence for each fact that led to it, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.names import in_words
from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.tenant_svc.checks.decision import Decision
from tenantmesh.tenant_svc.entitlements.entitlement import Effective, Source, TenantEntitlements
from tenantmesh.tenant_svc.entitlements.standing import Usage
from tenantmesh.tenant_svc.features.wording import amount_words, moment_words, unit_words, value_words
from tenantmesh.tenant_svc.overrides.overrides import override_words
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["steps"]

_REASONS = {
    "TENANT_SUSPENDED": "the tenant is suspended",
    "FEATURE_NOT_IN_PLAN": "the tenant does not have the feature",
    "QUOTA_EXHAUSTED": "the allowance of the period is used up",
    "LIMIT_REACHED": "the level is at its limit",
}


def steps(entitlements: TenantEntitlements, decision: Decision, viewer: Viewer) -> list[str]:
    """Return the sentences for the viewer. The last one is the decision."""
    entitled = decision.entitlement
    found = [
        *_state(entitlements),
        _plan(entitlements, entitled),
        *_rollout(entitlements, entitled),
        *_grace(entitlements, entitled),
        *_override(entitled, viewer),
        *_available_in(entitled),
        *_grants(entitled),
    ]
    if decision.usage is not None:
        found.append(_usage(entitled, decision.usage))
    return [*found, _verdict(decision)]


def _state(entitlements: TenantEntitlements) -> Iterator[str]:
    if entitlements.state is TenantState.SUSPENDED:
        yield "The tenant is suspended: only operators, billing and export are served."


def _plan(entitlements: TenantEntitlements, entitled: Effective) -> str:
    plan, feature, value = entitlements.plan, entitled.feature, entitled.plan_value
    named = f"The plan {plan.id}, version {plan.version},"
    if value is None:
        return f"{named} does not name {feature.id}."
    words = value_words(value, feature)
    match feature.type:
        case FeatureType.BOOLEAN:
            return f"{named} turns {feature.id} {words}."
        case FeatureType.STATIC:
            return f"{named} sets {feature.id} to {words}."
    if value.unlimited:
        return f"{named} sets no limit for {feature.id}."
    which = "" if unit_words(2, feature.unit) == feature.id else f" ({feature.id})"
    return f"{named} allows {words}{which}."


def _rollout(entitlements: TenantEntitlements, entitled: Effective) -> Iterator[str]:
    rollout = entitled.feature.rollout
    if rollout is None:
        return
    plans = _rollout_plans(rollout.plan_ids, entitlements.nameable)
    reached = entitled.feature.opened_to(entitlements.tenant_id, entitlements.plan.id)
    yield (
        f"A rollout opens {entitled.feature.id} to {rollout.basis_points / 100:g} % of the tenants{plans}; "
        f"this tenant is {'among them' if reached else 'not among them'}."
    )


def _rollout_plans(plan_ids: Sequence[str], nameable: frozenset[str]) -> str:
    """Return words for the plans of a rollout. Plans that may not be named are mentioned, since no plans would mean
    all."""
    named = ", ".join(plan_id for plan_id in plan_ids if plan_id in nameable)
    unlisted = "" if nameable.issuperset(plan_ids) else "plans that are not listed"
    return f" on {' and '.join(filter(None, (named, unlisted)))}" if plan_ids else ""


def _grace(entitlements: TenantEntitlements, entitled: Effective) -> Iterator[str]:
    terms = entitlements.terms
    if entitled.source is Source.GRACE and terms.grace_until is not None:
        plan = next(plan for plan in terms.grace_plans if plan.value_of(entitled.feature) == entitled.value)
        yield (
            f"Until {moment_words(terms.grace_until)} the larger limit of an earlier plan, {plan.id}, version "
            f"{plan.version}, holds: {value_words(entitled.value, entitled.feature)}."
        )


def _override(entitled: Effective, viewer: Viewer) -> Iterator[str]:
    if entitled.override is not None:
        reason = viewer.note(entitled.override.reason)
        why = f" Its reason: {reason}" if reason else ""
        yield f"An override for this tenant sets {override_words(entitled.override, entitled.feature)} instead.{why}"


def _available_in(entitled: Effective) -> Iterator[str]:
    if entitled.available_in:
        yield f"Plans that have it: {in_words(entitled.available_in)}."


def _grants(entitled: Effective) -> Iterator[str]:
    if entitled.grants:
        added = amount_words(entitled.granted, entitled.feature)
        yield f"Grants in force: {len(entitled.grants)}. They still add {added}, used after the allowance of the plan."


def _usage(entitled: Effective, usage: Usage) -> str:
    since = begins = ""
    if usage.period_start is not None and usage.reset_time is not None:
        since = f" since {moment_words(usage.period_start)}"
        begins = f"; the next period begins {moment_words(usage.reset_time)}"
    if usage.limit is None or usage.remaining is None:
        return f"{amount_words(usage.used, entitled.feature)} used{since}{begins}. There is no limit."
    limit = amount_words(usage.limit, entitled.feature)
    return f"{usage.used} of {limit} used{since}, {usage.remaining} left{begins}."


def _verdict(decision: Decision) -> str:
    counted = decision.entitlement.feature.type in {FeatureType.METERED, FeatureType.GAUGE}
    what = f"one more {decision.entitlement.feature.unit}" if counted else decision.entitlement.feature.id
    if decision.allowed:
        return f"So {what} is allowed."
    return f"So {what} is refused with {decision.reason}: {_REASONS[decision.reason]}."
