"""The refusals about features."""

from __future__ import annotations

from tenantmesh.chassis.requests import id_problem
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import NotFound

__all__ = ["feature_not_found"]


def feature_not_found(feature_id: str, wanted: FeatureType | None = None) -> NotFound:
    """Return the refusal of an id that no feature of the catalog has, or none of the wanted type. The answer repeats
    the id only if it has the form of one."""
    metadata = {} if id_problem(feature_id) else {"feature": feature_id}
    if wanted is None:
        message = "No such feature is in the catalog. List the features."
    else:
        message = f"The catalog has no {wanted.value} feature {feature_id}. List the features."
    return NotFound("FEATURE_NOT_FOUND", message, metadata=metadata)
