"""What of a feature may change, as the history holds it: a JSON text of before, and one of after."""

from __future__ import annotations

import json
from collections.abc import Container

from tenantmesh.tenant_svc.plans.plan import FeatureDef

__all__ = ["feature_state", "naming_only"]


def feature_state(feature: FeatureDef) -> str:
    """The state to remember."""
    rollout = None if feature.rollout is None else feature.rollout.to_json()
    return json.dumps({"display_name": feature.display_name, "unit": feature.unit, "rollout": rollout})


def naming_only(plans: Container[str], state: str) -> str:
    """The state for somebody who may be told of these plans only. The others are counted: no `plan_ids` would say that
    the rollout is for all plans. The empty text, before a feature was there, stays empty."""
    told = json.loads(state or "{}")
    if not told.get("rollout"):
        return state
    all_ids = told["rollout"]["plan_ids"]
    named = [plan_id for plan_id in all_ids if plan_id in plans]
    if len(named) == len(all_ids):
        return state
    told["rollout"] |= {"plan_ids": named, "plan_ids_more": len(all_ids) - len(named)}
    return json.dumps(told)
