"""What a tenant is entitled to: what goes before what, and until when it holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.tenant_svc.balances.grant import Grant, granted
from tenantmesh.tenant_svc.entitlements.entitlement import (
    Circumstances,
    Effective,
    OverLimitPolicy,
    PlanTerms,
    Source,
    effective,
    larger,
)
from tenantmesh.tenant_svc.features.feature import FeatureValue, Rollout
from tests.unit.tenant_svc.entitlements.facts import (
    CATALOG,
    FLAG,
    GAUGE,
    METER,
    NOW,
    STATIC,
    circumstances,
    feature,
    grant,
    grants,
    limit_values,
    moments,
    override,
    plan,
    plan_with,
    some_limits,
)

HOUR = timedelta(hours=1)
ON, OFF = FeatureValue.of_boolean(True), FeatureValue.of_boolean(False)


def limit(number: int | None) -> FeatureValue:
    return FeatureValue.of_limit(number)


def one(facts: Circumstances, id_: str) -> Effective:
    return effective(facts).features[id_]


def as_number(value: FeatureValue | None) -> float:
    if value is None:
        return 0
    return float("inf") if value.amount is None else value.amount


@given(some_limits, some_limits, st.none() | limit_values, st.none() | moments, st.none() | moments)
def test_an_override_goes_before_the_larger_of_both_plans(
    new: FeatureValue | None,
    old: FeatureValue | None,
    overridden: FeatureValue | None,
    expires: datetime | None,
    grace_until: datetime | None,
) -> None:
    terms = PlanTerms(OverLimitPolicy.GRACE, grace_until, (plan("old", users=old),))
    found = one(
        circumstances(
            plan(users=new),
            overrides=[override("users", overridden, expires)] if overridden else [],
            terms=terms,
        ),
        "users",
    )
    in_grace = grace_until is not None and grace_until > NOW
    if overridden is not None and (expires is None or expires > NOW):
        assert (found.value, found.source) == (overridden, Source.OVERRIDE)
    elif (in_grace and as_number(old) > as_number(new)) or (in_grace and old is not None and new is None):
        assert (found.value, found.source) == (old, Source.GRACE)
    else:
        assert (found.value, found.source) == (new, Source.PLAN if new else Source.UNSPECIFIED)
    assert found.plan_value == new
    assert found.limit == (0 if found.value is None else found.value.amount)


@given(some_limits, some_limits)
def test_the_larger_of_two_limits_allows_what_either_does(one: FeatureValue | None, other: FeatureValue | None) -> None:
    assert as_number(larger(one, other)) == max(as_number(one), as_number(other))


@pytest.mark.parametrize("share", [0, 10_000])
@pytest.mark.parametrize("says", [None, ON, OFF])
def test_a_rollout_opens_what_the_plan_does_not_have(share: int, says: FeatureValue | None) -> None:
    rolled = feature("flag", FLAG.type, rollout=Rollout(share))
    has = plan(flag=says)
    found = one(circumstances(has, features={"flag": rolled}), "flag")
    if says == ON:
        assert (found.enabled, found.source) == (True, Source.PLAN)
    elif share:
        assert (found.enabled, found.source) == (True, Source.ROLLOUT)
    else:
        assert (found.enabled, found.source) == (False, Source.PLAN if says else Source.UNSPECIFIED)


def test_an_override_closes_what_plan_and_rollout_open() -> None:
    rolled = feature("flag", FLAG.type, rollout=Rollout(10_000))
    facts = circumstances(plan(flag=ON), overrides=[override("flag", OFF)], features={"flag": rolled})
    assert (one(facts, "flag").enabled, one(facts, "flag").source) == (False, Source.OVERRIDE)


def test_a_rollout_for_some_plans_leaves_the_others() -> None:
    rolled = feature("flag", FLAG.type, rollout=Rollout(10_000, ("premium",)))
    for id_, on in (("premium", True), ("basic", False)):
        assert one(circumstances(plan(id_), features={"flag": rolled}), "flag").enabled is on


def test_the_plans_that_have_a_feature_are_named_only_where_it_is_off() -> None:
    published = [plan("premium", flag=ON), plan("enterprise", all_features=True), plan("basic", flag=OFF)]
    assert one(circumstances(plan(), published=published), "flag").available_in == ("enterprise", "premium")
    assert one(circumstances(plan(flag=ON), published=published), "flag").available_in == ()
    assert one(circumstances(plan(), published=published), "users").available_in == ()


def test_of_the_plans_that_have_a_feature_only_the_nameable_ones_are_named() -> None:
    published = [plan("premium", flag=ON), plan("made_for_acme", flag=ON), plan("basic", flag=ON)]
    facts = circumstances(plan(), published=published, nameable=["premium"])
    assert one(facts, "flag").available_in == ("basic", "premium"), "the tenant's own and the listed one"


def test_grace_is_about_limits_and_nothing_else() -> None:
    old = plan("old", flag=ON, theme=FeatureValue.of_static("dark"))
    terms = PlanTerms(OverLimitPolicy.GRACE, NOW + HOUR, (old,))
    facts = circumstances(plan(theme=FeatureValue.of_static("light")), terms=terms)
    assert not one(facts, "flag").enabled
    assert one(facts, "theme").value == FeatureValue.of_static("light")
    assert one(circumstances(plan(), terms=terms), "theme").value is None


@given(st.lists(grants(), max_size=5, unique_by=lambda each: each.id))
def test_grants_add_to_meters_only(several: list[Grant]) -> None:
    found = effective(circumstances(plan(calls=limit(10), users=limit(3)), grants=several)).features
    today = NOW.replace(hour=0, minute=0)
    assert found["calls"].granted == granted(several, NOW, today)
    assert found["calls"].limit == 10
    assert found["users"].granted == 0
    assert not found["users"].grants


@pytest.mark.parametrize(
    ("id_", "value", "on"),
    [
        ("flag", ON, True),
        ("flag", OFF, False),
        ("flag", None, False),
        ("theme", FeatureValue.of_static(""), True),
        ("theme", None, False),
        ("calls", limit(1), True),
        ("calls", limit(0), False),
        ("calls", limit(None), True),
        ("calls", None, False),
        ("users", limit(1), True),
        ("users", None, False),
    ],
)
def test_what_counts_as_on(id_: str, value: FeatureValue | None, on: bool) -> None:
    assert one(circumstances(plan_with("basic", {id_: value})), id_).enabled is on


def test_a_meter_without_an_allowance_is_on_while_a_grant_is_in_force() -> None:
    assert one(circumstances(plan(), grants=[grant(5, balance=0)]), "calls").enabled
    assert not one(circumstances(plan(), grants=[grant(5, void_time=NOW)]), "calls").enabled


@pytest.mark.parametrize("policy", list(OverLimitPolicy))
@pytest.mark.parametrize(
    ("level", "allowed", "over"), [(4, 3, True), (3, 3, False), (4, None, False), (1, 0, True), (0, 0, False)]
)
def test_a_gauge_above_its_limit_makes_read_only_where_that_was_chosen(
    policy: OverLimitPolicy, level: int, allowed: int | None, over: bool
) -> None:
    facts = circumstances(plan(users=limit(allowed)), terms=PlanTerms(policy), levels={"users": level})
    found = effective(facts)
    assert found.over_limit == (("users",) if over else ())
    assert found.read_only is (over and policy is OverLimitPolicy.READ_ONLY)


def test_levels_of_other_features_exceed_nothing() -> None:
    facts = circumstances(plan(calls=limit(1)), levels={"calls": 5, "gone": 9})
    assert effective(facts).over_limit == ()


def test_while_the_old_limit_holds_nothing_is_over_it() -> None:
    terms = PlanTerms(OverLimitPolicy.READ_ONLY, NOW + HOUR, (plan("old", users=limit(10)),))
    assert effective(circumstances(plan(users=limit(1)), terms=terms, levels={"users": 5})).over_limit == ()


@given(
    st.lists(grants(), max_size=4),
    st.lists(st.none() | moments, max_size=3),
    st.none() | moments,
)
def test_they_hold_until_something_begins_or_ends(
    several: list[Grant], expiries: list[datetime | None], grace_until: datetime | None
) -> None:
    names = list(CATALOG)
    facts = circumstances(
        plan(),
        grants=several,
        overrides=[override(names[place], limit(1), expires) for place, expires in enumerate(expiries)],
        terms=PlanTerms(OverLimitPolicy.GRACE, grace_until, (plan("old"),)),
    )
    found = effective(facts)
    lasting = [each for each in several if each.void_time is None]
    moments_ahead = [
        moment
        for moment in [
            *expiries,
            grace_until,
            *(each.effective_time for each in lasting),
            *(each.expire_time for each in lasting),
        ]
        if moment is not None and moment > NOW
    ]
    assert found.valid_for == (min(moments_ahead) - NOW if moments_ahead else None)


@given(st.lists(grants(), max_size=3, unique_by=lambda each: each.id), st.none() | moments, st.none() | moments)
def test_until_then_time_alone_changes_nothing(
    several: list[Grant], expires: datetime | None, grace_until: datetime | None
) -> None:
    """`valid_for` keeps its word: just before it ends, within the period, the tenant has the same."""
    facts = circumstances(
        plan(calls=limit(5), users=limit(5)),
        grants=several,
        overrides=[override("users", limit(7), expires)],
        terms=PlanTerms(OverLimitPolicy.GRACE, grace_until, (plan("old", calls=limit(9)),)),
    )
    found = effective(facts)
    ahead = HOUR if found.valid_for is None else min(HOUR, found.valid_for - timedelta(microseconds=1))
    later = effective(at(facts, NOW + ahead))
    assert later.features == found.features


def at(facts: Circumstances, now: datetime) -> Circumstances:
    fields: dict[str, Any] = {name: getattr(facts, name) for name in Circumstances.__slots__}
    return Circumstances(**{**fields, "now": now})


def test_a_static_value_is_what_the_plan_says() -> None:
    value = FeatureValue.of_static({"colour": "green"})
    found = one(circumstances(plan(theme=value)), STATIC.id)
    assert (found.value, found.source) == (value, Source.PLAN)


def test_everything_in_the_catalog_is_answered_for() -> None:
    found = effective(circumstances(plan(gone=ON)))
    assert set(found.features) == {FLAG.id, STATIC.id, METER.id, GAUGE.id}
