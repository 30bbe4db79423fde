"""What a feature and a plan must be like, and that everything wrong is named at once."""

from __future__ import annotations

from typing import Any

import pytest

from tenantmesh.chassis.requests import id_problem
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.features.feature import FeatureValue, Period, Rollout
from tenantmesh.tenant_svc.features.rules import (
    MAX_STATIC_BYTES,
    FeatureDraft,
    check_feature,
    static_bytes,
    value_problem,
)
from tenantmesh.tenant_svc.plans.rules import PlanDraft, RateDraft, check_plan
from tests.unit.tenant_svc.plans.catalog import (
    CATALOG,
    DARK,
    OFF,
    ON,
    UNLIMITED,
    draft,
    feature,
    feature_draft,
    limit,
    plan,
)

PLANS = {"basic", "premium"}


def fields_of(error: InvalidArgument) -> list[str]:
    assert error.reason == "INVALID_FIELD"
    return [violation.field for violation in error.violations]


def nested(levels: int) -> Any:
    """A number in lists and objects in turn."""
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_ids() -> None:
    for good in ("ab", "a_", "a1", "api_requests", "x" * 64):
        assert id_problem(good) is None
    for bad in ("", "a", "1a", "_a", "A1", "a-b", "a b", "ab\n", "ä1", "a\x00", "x" * 65, "a.b"):
        assert id_problem(bad), bad


@pytest.mark.parametrize(
    ("value", "type_", "fits"),
    [
        (ON, FeatureType.BOOLEAN, True),
        (OFF, FeatureType.BOOLEAN, True),
        (limit(0), FeatureType.METERED, True),
        (limit(LARGEST_AMOUNT), FeatureType.GAUGE, True),
        (UNLIMITED, FeatureType.GAUGE, True),
        (DARK, FeatureType.STATIC, True),
        (FeatureValue.of_static({"a": [1, 2.5, None, True, "\\u0000"]}), FeatureType.STATIC, True),
        (FeatureValue.of_static("x" * 4094), FeatureType.STATIC, True),
        (None, FeatureType.BOOLEAN, False),
        (ON, FeatureType.METERED, False),
        (limit(1), FeatureType.BOOLEAN, False),
        (limit(-1), FeatureType.METERED, False),
        (limit(LARGEST_AMOUNT + 1), FeatureType.GAUGE, False),
        (UNLIMITED, FeatureType.STATIC, False),
        (DARK, FeatureType.GAUGE, False),
        (FeatureValue.of_static("x" * 4095), FeatureType.STATIC, False),
        (FeatureValue.of_static(nested(20)), FeatureType.STATIC, True),
        (FeatureValue.of_static(nested(21)), FeatureType.STATIC, False),
        (FeatureValue.of_static(float("nan")), FeatureType.STATIC, False),
        (FeatureValue.of_static([float("inf")]), FeatureType.STATIC, False),
        (FeatureValue.of_static({"a": "\x00"}), FeatureType.STATIC, False),
        (FeatureValue.of_static({"\x00": 1}), FeatureType.STATIC, False),
        (FeatureValue.of_static("\\\x00"), FeatureType.STATIC, False),
    ],
)
def test_values_are_of_the_features_type(value: FeatureValue | None, type_: FeatureType, fits: bool) -> None:
    assert (value_problem(value, type_) is None) is fits


@pytest.mark.parametrize(
    "good",
    [
        feature_draft(),
        feature_draft(rollout=Rollout(10_000, ("basic", "premium"))),
        feature_draft(type=FeatureType.STATIC),
        feature_draft(type=FeatureType.GAUGE, unit="seat"),
        feature_draft(type=FeatureType.METERED, unit="call", period=Period.HOUR),
    ],
)
def test_features_that_keep_the_rules(good: FeatureDraft) -> None:
    assert check_feature(good, PLANS) is good.type


@pytest.mark.parametrize(
    ("bad", "fields"),
    [
        (feature_draft(id="Export"), ["feature.id"]),
        (feature_draft(type=None), ["feature.type"]),
        (feature_draft(display_name=""), ["feature.display_name"]),
        (feature_draft(display_name="a\x00b"), ["feature.display_name"]),
        (feature_draft(unit="call"), ["feature.unit"]),
        (feature_draft(period=Period.DAY), ["feature.period"]),
        (feature_draft(type=FeatureType.GAUGE), ["feature.unit"]),
        (feature_draft(type=FeatureType.GAUGE, unit="seat", period=Period.DAY), ["feature.period"]),
        (feature_draft(type=FeatureType.METERED, unit="call"), ["feature.period"]),
        (feature_draft(type=FeatureType.STATIC, rollout=Rollout(1)), ["feature.rollout"]),
        (feature_draft(rollout=Rollout(-1)), ["feature.rollout.basis_points"]),
        (feature_draft(rollout=Rollout(10_001)), ["feature.rollout.basis_points"]),
        (feature_draft(rollout=Rollout(1, ("basic", "gold"))), ["feature.rollout.plan_ids[1]"]),
        (feature_draft(rollout=Rollout(1, ("basic", "basic"))), ["feature.rollout.plan_ids[1]"]),
        (feature_draft(rollout=Rollout(1, ("basic",) * 51)), ["feature.rollout.plan_ids"]),
        (feature_draft(id="", type=None, display_name=" ", rollout=Rollout(-1)), ["feature.id", "feature.type",
                                                                                  "feature.display_name",
                                                                                  "feature.rollout"]),
    ],
)  # fmt: skip
def test_features_that_break_rules(bad: FeatureDraft, fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_feature(bad, PLANS)
    assert fields_of(caught.value) == fields


def test_a_plan_that_keeps_the_rules_says_what_it_is() -> None:
    good = draft()
    check_plan(good, CATALOG)
    assert good.values == {"export": ON, "calls": limit(10), "seats": UNLIMITED, "theme": DARK}
    assert good.limits == {"api": Rate(50, 100)}
    assert good.period is Period.MONTH
    check_plan(draft(features=[], rates=[], all_features=True), CATALOG)


def rates(*listed: tuple[str, float, int]) -> list[RateDraft]:
    return [RateDraft(*each) for each in listed]


@pytest.mark.parametrize(
    ("bad", "fields"),
    [
        (draft(id="Plus"), ["plan.id"]),
        (draft(display_name="x" * 201), ["plan.display_name"]),
        (draft(billing_period=None), ["plan.billing_period"]),
        (draft(features=[("nothing_such", ON)]), ["plan.features[0].feature"]),
        (draft(features=[("", None)]), ["plan.features[0].feature"]),
        (draft(features=[("export", ON), ("export", OFF)]), ["plan.features[1].feature"]),
        (draft(features=[("export", None)]), ["plan.features[0].value"]),
        (draft(features=[("export", limit(1))]), ["plan.features[0].value"]),
        (draft(features=[("calls", limit(-1))]), ["plan.features[0].value"]),
        (draft(features=[("export", OFF)], all_features=True), ["plan.features[0].value"]),
        (draft(features=[("export", ON)] * 201), ["plan.features"]),
        (draft(rates=rates(("API", 1, 1))), ["plan.rates[0].rate_class"]),
        (draft(rates=rates(("api", 1, 1), ("api", 2, 2))), ["plan.rates[1].rate_class"]),
        (draft(rates=rates(("api", 0, 1))), ["plan.rates[0].per_second"]),
        (draft(rates=rates(("api", float("nan"), 1))), ["plan.rates[0].per_second"]),
        (draft(rates=rates(("api", float("inf"), 1))), ["plan.rates[0].per_second"]),
        (draft(rates=rates(("api", 1, 0))), ["plan.rates[0].burst"]),
        (draft(rates=rates(*((f"class_{number}", 1, 1) for number in range(51)))), ["plan.rates"]),
        (draft(id="", display_name="", billing_period=None, features=[("export", None)], rates=rates(("", 0, 0))),
         ["plan.id", "plan.display_name", "plan.billing_period", "plan.features[0].value", "plan.rates[0].rate_class",
          "plan.rates[0].per_second", "plan.rates[0].burst"]),
    ],
)  # fmt: skip
def test_plans_that_break_rules(bad: PlanDraft, fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_plan(bad, CATALOG)
    assert fields_of(caught.value) == fields


def test_of_very_many_faults_the_first_are_named_and_the_rest_counted() -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_plan(draft(features=[(f"none_{number}", ON) for number in range(200)]), CATALOG)
    assert fields_of(caught.value) == [f"plan.features[{number}].feature" for number in range(10)]
    assert caught.value.violations[-1].description.endswith("190 more fields break their rules")
    assert len(caught.value.message) < 2000, "a longer one would not fit into the trailing metadata"


@pytest.mark.parametrize("text", ["x" * 100_000, "a\x00b", "\r\nx-evil: 1"])
def test_what_was_sent_is_not_said_back(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_plan(draft(id=text, features=[(text, ON)], rates=rates((text, 1, 1))), CATALOG)
    assert text not in caught.value.message


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"rates": [RateDraft("api", 50, 100)]}, True),
        ({"features": [*reversed(draft().features)]}, True),
        ({"display_name": "Pro"}, False),
        ({"all_features": True}, False),
        ({"billing_period": Period.DAY}, False),
        ({"rates": []}, False),
        ({"features": [*draft().features[:-1], ("theme", FeatureValue.of_static(True))]}, False),
    ],
)
def test_a_draft_says_the_same_or_not(change: dict[str, Any], same: bool) -> None:
    stored = plan(draft().values, rates=draft().limits)
    assert draft(**change).matches(stored) is same


def test_true_and_one_are_not_the_same() -> None:
    one, true = FeatureValue.of_static(1), FeatureValue.of_static(True)
    assert not draft(features=[("theme", one)]).matches(plan({"theme": true}, rates=draft().limits))


def test_the_static_values_of_a_plan_are_bounded_in_all() -> None:
    large = FeatureValue.of_static([1] * 1365)
    most = MAX_STATIC_BYTES // static_bytes([large])
    names = [f"theme_{number}" for number in range(most + 1)]
    catalog = {name: feature(name, FeatureType.STATIC) for name in names}
    check_plan(draft(features=[(name, large) for name in names[:most]]), catalog)
    with pytest.raises(InvalidArgument) as caught:
        check_plan(draft(features=[(name, large) for name in names]), catalog)
    assert fields_of(caught.value) == ["plan.features"]


def test_an_unknown_feature_says_where_to_look() -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_plan(draft(features=[("nothing_known", ON)]), CATALOG)
    assert caught.value.violations[0].description == "unknown feature; see ListFeatures"
