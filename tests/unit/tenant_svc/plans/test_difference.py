"""What changes for a tenant between two versions."""

from __future__ import annotations

import pytest

from tenantmesh.interceptors.limits import Rate
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.plans.difference import Direction, FeatureDifference, RateDifference, difference
from tests.unit.tenant_svc.plans.catalog import CATALOG, DARK, OFF, ON, UNLIMITED, limit, plan

LIGHT = FeatureValue.of_static("light")


@pytest.mark.parametrize(
    ("feature", "less", "more"),
    [
        ("export", None, ON),
        ("export", OFF, ON),
        ("calls", limit(10), limit(11)),
        ("calls", None, limit(1)),
        ("calls", limit(2**53 - 2), limit(2**53 - 1)),
        ("seats", limit(10), UNLIMITED),
        ("seats", None, UNLIMITED),
    ],
)
def test_who_gains(feature: str, less: FeatureValue | None, more: FeatureValue) -> None:
    small, large = plan({} if less is None else {feature: less}), plan({feature: more})
    assert difference(small, large, CATALOG).features == [FeatureDifference(feature, less, more, Direction.MORE)]
    assert difference(large, small, CATALOG).features == [FeatureDifference(feature, more, less, Direction.LESS)]


@pytest.mark.parametrize(
    ("feature", "one", "other"),
    [
        ("export", OFF, None),
        ("calls", limit(0), None),
        ("seats", UNLIMITED, UNLIMITED),
        ("theme", FeatureValue.of_static({"a": 1, "b": 2}), FeatureValue.of_static({"b": 2, "a": 1})),
    ],
)
def test_the_same_in_other_words_is_no_difference(feature: str, one: FeatureValue, other: FeatureValue | None) -> None:
    assert not difference(plan({feature: one}), plan({} if other is None else {feature: other}), CATALOG).features


@pytest.mark.parametrize("other", [LIGHT, None, FeatureValue.of_static(1)])
def test_static_values_are_not_compared(other: FeatureValue | None) -> None:
    theme = FeatureValue.of_static(True) if other == FeatureValue.of_static(1) else DARK
    found = difference(plan({"theme": theme}), plan({} if other is None else {"theme": other}), CATALOG)
    assert found.features == [FeatureDifference("theme", theme, other, Direction.UNSPECIFIED)]


def test_every_feature_that_comes_with_all_of_them_is_told_by_id() -> None:
    found = difference(plan({"sso": ON, "calls": limit(5)}), plan({"calls": limit(4)}, all_features=True), CATALOG)
    assert [(each.feature, each.direction) for each in found.features] == [
        ("calls", Direction.LESS),
        ("export", Direction.MORE),
    ]


def test_burst_limits_by_class() -> None:
    slow, fast = Rate(1, 1), Rate(2, 1)
    before = plan({}, rates={"api": slow, "gone": slow, "same": slow})
    after = plan({}, rates={"api": fast, "new": fast, "same": Rate(1.0, 1)})
    assert difference(before, after, CATALOG).rates == [
        RateDifference("api", slow, fast),
        RateDifference("gone", slow, None),
        RateDifference("new", None, fast),
    ]


def test_a_limit_that_a_plan_forgets_is_warned_about_and_one_of_zero_is_not() -> None:
    forgotten, named = plan({}), plan({"calls": limit(0), "seats": UNLIMITED})
    warnings = forgotten.warned(CATALOG).warnings
    assert [(warning.feature, warning.type.value) for warning in warnings] == [("calls", "METERED"), ("seats", "GAUGE")]
    assert "its limit is zero: none can be added" in warnings[1].message
    assert named.warned(CATALOG).warnings == ()
    assert difference(named, forgotten, CATALOG).warnings == warnings, "those of the second version"
    assert forgotten.warned(CATALOG) == forgotten, "warnings are no part of a version"
