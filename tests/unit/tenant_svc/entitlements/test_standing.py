"""How much of a limit is used, and what a check says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.tenant_svc.checks.decision import decide
from tenantmesh.tenant_svc.checks.explanation import steps
from tenantmesh.tenant_svc.entitlements.entitlement import Override, effective
from tenantmesh.tenant_svc.entitlements.standing import Spent, Standing, Usage
from tenantmesh.tenant_svc.features.feature import FeatureValue, Period, Rollout
from tenantmesh.tenant_svc.viewers import Viewer
from tests.unit.tenant_svc.entitlements.facts import (
    FLAG,
    NOW,
    amounts,
    circumstances,
    feature,
    grant,
    limits,
    override,
    plan,
    plan_with,
)


def limit(number: int | None) -> FeatureValue:
    return FeatureValue.of_limit(number)


@given(limits, st.lists(st.integers(1, 500), max_size=3), st.integers(0, 3000), st.integers(0, 3000))
def test_used_and_remaining_are_the_limit_where_nothing_was_lowered(
    allowance: int | None, granted: list[int], taken: int, pooled: int
) -> None:
    """Units are taken as the ledger takes them: the allowance first. What lies ready is not used."""
    most = sum(granted) + (10_000 if allowance is None else allowance)
    taken = min(taken, most)
    from_plan = taken if allowance is None else min(taken, allowance)
    burnt = taken - from_plan
    grants = []
    for number, amount in enumerate(granted, start=1):
        used = min(amount, burnt)
        burnt -= used
        today = NOW.replace(hour=0, minute=0)
        grants.append(grant(amount, number=number, balance=amount - used, balance_period=today))
    facts = circumstances(plan(calls=limit(allowance)), grants=grants)
    standing = Standing(effective(facts), {"calls": Spent(taken, from_plan)}, {"calls": pooled})
    usage = standing.usage(standing.entitlements.features["calls"])
    assert usage is not None
    assert usage.used == taken - min(pooled, taken)
    if allowance is None:
        assert (usage.limit, usage.remaining) == (None, None)
    else:
        assert usage.limit == allowance + sum(granted)
        assert usage.remaining == usage.limit - usage.used
    assert (usage.period_start, usage.reset_time) == (Period.DAY.start_of(NOW), Period.DAY.end_of(NOW))


def test_a_lowered_allowance_leaves_nothing_and_grants_as_they_are() -> None:
    facts = circumstances(plan(calls=limit(100)), grants=[grant(30)])
    standing = Standing(effective(facts), {"calls": Spent(500, 500)})
    usage = standing.usage(standing.entitlements.features["calls"])
    assert usage is not None
    assert (usage.used, usage.limit, usage.remaining) == (500, 130, 30)


@given(limits, amounts)
def test_a_gauge_is_its_level(most: int | None, level: int) -> None:
    standing = Standing(effective(circumstances(plan(users=limit(most)), levels={"users": level})))
    expected = Usage(level, most, None if most is None else max(0, most - level))
    assert standing.usage(standing.entitlements.features["users"]) == expected


@pytest.mark.parametrize(
    ("id_", "value", "amount", "reason"),
    [
        ("flag", FeatureValue.of_boolean(True), 0, ""),
        ("flag", FeatureValue.of_boolean(False), 0, "FEATURE_NOT_IN_PLAN"),
        ("flag", None, 5, "FEATURE_NOT_IN_PLAN"),
        ("theme", FeatureValue.of_static(0), 0, ""),
        ("theme", None, 0, "FEATURE_NOT_IN_PLAN"),
        ("calls", limit(11), 1, ""),
        ("calls", limit(11), 2, "QUOTA_EXHAUSTED"),
        ("calls", limit(10), 0, "QUOTA_EXHAUSTED"),  # zero means one
        ("calls", None, 1, "QUOTA_EXHAUSTED"),
        ("calls", limit(None), 10**15, ""),
        ("users", limit(6), 1, ""),
        ("users", limit(6), 2, "LIMIT_REACHED"),
        ("users", limit(2), 1, "LIMIT_REACHED"),
        ("users", limit(None), 10**15, ""),
    ],
)
def test_a_check_says_what_the_chain_would(id_: str, value: FeatureValue | None, amount: int, reason: str) -> None:
    facts = circumstances(plan_with("basic", {id_: value}), levels={"users": 5})
    standing = Standing(effective(facts), {"calls": Spent(10, 10)})
    decision = decide(standing, standing.entitlements.features[id_], amount)
    assert (decision.reason, decision.allowed) == (reason, not reason)


def test_nothing_is_allowed_to_a_suspended_tenant() -> None:
    facts = circumstances(plan(flag=FeatureValue.of_boolean(True)), state=TenantState.SUSPENDED)
    standing = Standing(effective(facts))
    decision = decide(standing, standing.entitlements.features["flag"], 1)
    assert decision.reason == "TENANT_SUSPENDED"
    told = steps(standing.entitlements, decision, OPERATOR)
    assert "suspended" in told[0]
    assert "TENANT_SUSPENDED" in told[-1]


OPERATOR = Viewer(notes=True, every_plan=True)


def explained(*, overrides: list[Override] | None = None) -> list[str]:
    rolled = feature("flag", FLAG.type, rollout=Rollout(2550))
    facts = circumstances(
        plan(),
        features={"flag": rolled},
        overrides=overrides or [],
        published=[plan("premium", flag=FeatureValue.of_boolean(True))],
    )
    standing = Standing(effective(facts))
    return steps(standing.entitlements, decide(standing, standing.entitlements.features["flag"], 1), OPERATOR)


def test_an_explanation_tells_what_was_weighed_in_its_order() -> None:
    assert explained() == [
        "The plan basic, version 1, does not name flag.",
        "A rollout opens flag to 25.5 % of the tenants; this tenant is not among them.",
        "Plans that have it: premium.",
        "So flag is refused with FEATURE_NOT_IN_PLAN: the tenant does not have the feature.",
    ]
    assert explained(overrides=[override("flag", FeatureValue.of_boolean(True))])[2:] == [
        "An override for this tenant sets on instead. Its reason: a favour",
        "So flag is allowed.",
    ]


@pytest.mark.parametrize(
    ("nameable", "plans"),
    [
        (["premium", "made_for_acme"], "premium, made_for_acme"),
        (["premium"], "premium and plans that are not listed"),
        ([], "plans that are not listed"),
    ],
)
def test_an_explanation_names_no_plan_that_may_not_be_named(nameable: list[str], plans: str) -> None:
    rolled = feature("flag", FLAG.type, rollout=Rollout(10_000, ("premium", "made_for_acme")))
    standing = Standing(effective(circumstances(plan(), features={"flag": rolled}, nameable=nameable)))
    told = steps(standing.entitlements, decide(standing, standing.entitlements.features["flag"], 1), OPERATOR)
    assert told[1] == f"A rollout opens flag to 100 % of the tenants on {plans}; this tenant is not among them."


def test_an_explanation_of_a_meter_says_how_much_is_used_of_what() -> None:
    facts = circumstances(plan(calls=limit(100)), grants=[grant(30)])
    standing = Standing(effective(facts), {"calls": Spent(100, 100)})
    assert steps(standing.entitlements, decide(standing, standing.entitlements.features["calls"], 1), OPERATOR) == [
        "The plan basic, version 1, allows 100 pieces a day (calls).",
        "Grants in force: 1. They still add 30 pieces, used after the allowance of the plan.",
        "100 of 130 pieces used since 2026-05-17T00:00:00Z, 30 left; the next period begins 2026-05-18T00:00:00Z.",
        "So one more piece is allowed.",
    ]
