"""The refusals about plans."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.names import in_words

__all__ = ["none_published", "plan_not_found"]


def plan_not_found(plan_id: str = "", version: int = 0) -> NotFound:
    """Return the refusal of a plan or a version that does not exist. Without an id, the answer names none."""
    if not plan_id:
        return NotFound("PLAN_NOT_FOUND", "No such plan or version. List the plans.")
    which = f"version {version} of " if version else ""
    return NotFound("PLAN_NOT_FOUND", f"No {which}plan {plan_id} exists. List the plans.", metadata={"plan": plan_id})


def none_published(plan_id: str, published: Sequence[str]) -> NotFound:
    """Return the refusal of a plan that takes no tenants. It names the plans that do."""
    return NotFound(
        "PLAN_NOT_FOUND",
        f"No plan of this id is published. Choose one of these: {in_words(published)}.",
        metadata={"plan": plan_id},
    )
