"""Which fields of a feature an update changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.tenant_svc.features.feature import FeatureDef, Period, Rollout
from tenantmesh.tenant_svc.features.features import FeatureChange
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tests.unit.tenant_svc.plans.catalog import CATALOG, feature

EXPORT = feature("export", rollout=Rollout(100, ("basic",)))


def change(*paths: str, **fields: Any) -> FeatureChange:
    nothing = FeatureDraft(id="", type=None, display_name="", unit="", period=None, rollout=None)
    return FeatureChange(dataclasses.replace(nothing, **fields), frozenset(paths), "")


def changed(**fields: Any) -> FeatureDef:
    return dataclasses.replace(EXPORT, **fields)


@pytest.mark.parametrize(
    ("wanted", "after"),
    [
        (change(), EXPORT),
        (change(display_name="New"), changed(display_name="New")),
        (change(rollout=Rollout(5)), changed(rollout=Rollout(5))),
        (change("display_name", display_name="New", rollout=Rollout(5)), changed(display_name="New")),
        (change("rollout", display_name="New"), changed(rollout=None)),
        (change("rollout.basis_points", rollout=Rollout(5)), changed(rollout=Rollout(5, ("basic",)))),
        (change("rollout.plan_ids", rollout=Rollout(5)), changed(rollout=Rollout(100))),
        (change("rollout.plan_ids"), changed(rollout=Rollout(100))),
        (change("rollout.basis_points", "rollout.plan_ids", rollout=Rollout(5)), changed(rollout=Rollout(5))),
        (change("*", display_name="New"), changed(display_name="New", rollout=None)),
    ],
)
def test_what_the_mask_names_changes_and_nothing_else(wanted: FeatureChange, after: FeatureDef) -> None:
    wanted.check(EXPORT, {"basic"})
    assert wanted.of(EXPORT) == after


def test_without_a_rollout_a_part_of_one_begins_one() -> None:
    sso = CATALOG["sso"]
    assert change("rollout.basis_points", rollout=Rollout(5)).of(sso).rollout == Rollout(5)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (change("plan"), "update_mask"),
        (change("display_name", "nonsense", display_name="x"), "update_mask"),
        (change(id="sso"), "feature.id"),
        (change(type=FeatureType.GAUGE), "feature.type"),
        (change(period=Period.DAY), "feature.period"),
        (change("display_name"), "feature.display_name"),
        (change(unit="call"), "feature.unit"),
        (change(rollout=Rollout(10_001)), "feature.rollout.basis_points"),
        (change(rollout=Rollout(1, ("gold",))), "feature.rollout.plan_ids[0]"),
    ],
)
def test_what_may_not_change_is_named(wanted: FeatureChange, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        wanted.check(EXPORT, {"basic"})
    assert [each.field for each in caught.value.violations] == [field]


def test_what_was_read_may_be_sent_back_whole() -> None:
    back = change(id="export", type=FeatureType.BOOLEAN, display_name="The export", rollout=EXPORT.rollout)
    back.check(EXPORT, {"basic"})
    assert back.of(EXPORT) == EXPORT


def test_what_is_counted_keeps_a_unit() -> None:
    with pytest.raises(InvalidArgument):
        change("unit").check(CATALOG["seats"], set())
    assert change(unit="chair").of(CATALOG["seats"]).unit == "chair"
