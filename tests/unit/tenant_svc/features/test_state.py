"""What the history holds of a feature, and what of it is told to whom."""

from __future__ import annotations

import json

import pytest

from tenantmesh.tenant_svc.features.feature import Rollout
from tenantmesh.tenant_svc.features.state import feature_state, naming_only
from tests.unit.tenant_svc.plans.catalog import feature


def state(*plan_ids: str) -> str:
    return feature_state(feature("export", rollout=Rollout(2500, plan_ids)))


@pytest.mark.parametrize("told", ["", feature_state(feature("export")), state(), state("basic", "plus")])
def test_what_names_no_other_plan_is_told_as_it_is(told: str) -> None:
    assert naming_only({"basic", "plus"}, told) == told


@pytest.mark.parametrize("plans", [{"plus"}, set[str]()])
def test_other_plans_are_counted_and_not_named(plans: set[str]) -> None:
    told = naming_only(plans, state("made_for_acme", "plus", "made_for_globex"))
    assert "made_for" not in told
    assert json.loads(told)["rollout"] == {
        "basis_points": 2500,
        "plan_ids": sorted(plans),
        "plan_ids_more": 3 - len(plans),
    }
