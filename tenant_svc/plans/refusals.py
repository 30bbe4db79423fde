"""The refusals about plans."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.interceptors.errors import FailedPrecondition, NotFound
from tenantmesh.interceptors.names import in_words

__all__ = ["no_draft", "none_published", "plan_is_default", "plan_not_found", "plan_not_published"]


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


def plan_not_published(plan_id: str, version: int = 0) -> FailedPrecondition:
    """Return the refusal of a draft, an archived version, or a plan without a published one."""
    which = f"Version {version} of plan {plan_id} is not published" if version else f"Plan {plan_id} is not published"
    return FailedPrecondition(
        "PLAN_NOT_PUBLISHED", f"{which}, so tenants can't be put on it.", metadata={"plan": plan_id}
    )


def no_draft(plan_id: str, newest: int) -> FailedPrecondition:
    """Return the refusal to publish the draft of a plan that has none, or to compare with it."""
    return FailedPrecondition(
        "PLAN_HAS_NO_DRAFT",
        f"The plan {plan_id} has no draft; its newest version is {newest}. Update the plan to begin one, or name a "
        "version.",
        metadata={"plan": plan_id, "version": str(newest)},
    )


def plan_is_default(plan_id: str, version: int) -> FailedPrecondition:
    """Return the refusal to close the plan that new tenants get."""
    return FailedPrecondition(
        "PLAN_IS_DEFAULT",
        f"New tenants get {plan_id} by default, and version {version} is its last published one. Publish another "
        "version of it, or make another plan the default with SetDefaultPlan.",
        metadata={"plan": plan_id, "version": str(version)},
    )
