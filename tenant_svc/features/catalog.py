"""Features as requests name them: anything may be asked for, and what can't be an id never reaches the database."""

from __future__ import annotations

from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.features import repository as feature_repository
from tenantmesh.tenant_svc.features.features import feature_not_found
from tenantmesh.tenant_svc.plans.plan import FeatureDef
from tenantmesh.tenant_svc.plans.rules import id_problem, refuse

__all__ = ["feature_named", "known_feature"]


async def feature_named(connection: Connection, feature_id: str) -> FeatureDef | None:
    """The feature; None when there is none."""
    return None if id_problem(feature_id) else await feature_repository.by_id(connection, feature_id)


async def known_feature(connection: Connection, feature_id: str, field: str) -> FeatureDef:
    """As `feature_named`. Raises InvalidArgument that names the field when it is empty, NotFound
    `FEATURE_NOT_FOUND`."""
    refuse({field: None if feature_id else "is required"})
    feature = await feature_named(connection, feature_id)
    if feature is None:
        raise feature_not_found(feature_id)
    return feature
