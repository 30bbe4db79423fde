"""The refusals about features."""

from __future__ import annotations

from tenantmesh.chassis.requests import id_problem
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import FailedPrecondition, NotFound

__all__ = ["catalog_full", "feature_not_found"]


def catalog_full(most: int) -> FailedPrecondition:
    """Return the refusal of one more feature than the catalog may hold."""
    return FailedPrecondition(
        "CATALOG_FULL",
        f"The catalog holds {most} features, which is the most. Use one of them, such as a STATIC one with parts.",
        metadata={"limit": str(most)},
    )


def feature_not_found(feature_id: str, wanted: FeatureType | None = None) -> NotFound:
    """Return the refusal of an id that no feature of the catalog has, or none of the wanted type. The answer repeats
    the id only if it has the form of one."""
    metadata = {} if id_problem(feature_id) else {"feature": feature_id}
    if wanted is None:
        message = "No such feature is in the catalog. List the features."
    else:
        message = f"The catalog has no {wanted.value} feature {feature_id}. List the features."
    return NotFound("FEATURE_NOT_FOUND", message, metadata=metadata)
