"""The state of a feature as the history stores it: the fields that may change, as JSON text."""

from __future__ import annotations

import json
from collections.abc import Container

from tenantmesh.tenant_svc.features.feature import FeatureDef

__all__ = ["feature_state", "naming_only"]


def feature_state(feature: FeatureDef) -> str:
    """Return the feature's state."""
    rollout = None if feature.rollout is None else feature.rollout.to_json()
    state = {"display_name": feature.display_name, "unit": feature.unit, "rollout": rollout}
    return json.dumps(state | {"owner": feature.owner} if feature.owner else state)


def naming_only(plans: Container[str], state: str) -> str:
    """Return the state for a reader who may see the names of these plans only.

    The other plans are counted, since an empty `plan_ids` means all plans. The empty state, before a feature existed,
    stays empty.
    """
    stored = json.loads(state or "{}")
    if not stored.get("rollout"):
        return state
    all_ids = stored["rollout"]["plan_ids"]
    named = [plan_id for plan_id in all_ids if plan_id in plans]
    if len(named) == len(all_ids):
        return state
    stored["rollout"] |= {"plan_ids": named, "plan_ids_more": len(all_ids) - len(named)}
    return json.dumps(stored)
