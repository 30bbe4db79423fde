"""The SQL of the catalog, and nothing else. Either door may read it; only the system door writes."""

from __future__ import annotations

import json

from sqlalchemy import bindparam, select

from interceptors.limits import Rate
from runtime.database import Connection, Record, compiled
from tenant_svc.plans.plan import FeatureDef, FeatureType, FeatureValue, Period, PlanState, PlanVersion, Rollout
from tenant_svc.plans.tables import features as feature_rows
from tenant_svc.plans.tables import plan_versions


def feature_of(row: Record) -> FeatureDef:
    """The feature in a row."""
    share = row["rollout_basis_points"]
    return FeatureDef(
        row["feature_id"],
        FeatureType(row["type"]),
        row["display_name"],
        row["unit"],
        Period(row["period"]) if row["period"] else None,
        None if share is None else Rollout(share, tuple(json.loads(row["rollout_plan_ids"]))),
        row["create_time"],
        row["update_time"],
        row["version"],
    )


def plan_of(row: Record) -> PlanVersion:
    """The version of a plan in a row."""
    return PlanVersion(
        row["plan_id"],
        row["version"],
        PlanState(row["state"]),
        row["display_name"],
        {feature: FeatureValue.from_json(value) for feature, value in json.loads(row["features"]).items()},
        row["all_features"],
        {name: Rate(**rate) for name, rate in json.loads(row["rates"]).items()},
        Period(row["billing_period"]),
        row["create_time"],
        row["publish_time"],
        row["archive_time"],
        row["revision"],
    )


def _maybe(row: Record | None) -> PlanVersion | None:
    return None if row is None else plan_of(row)


_this_plan = plan_versions.c.plan_id == bindparam("plan_id")
_is_published = plan_versions.c.state == "PUBLISHED"

_FEATURES = compiled(select(feature_rows).order_by(feature_rows.c.feature_id))
_VERSION = compiled(select(plan_versions).where(_this_plan, plan_versions.c.version == bindparam("version")))
_NEWEST_PUBLISHED = compiled(
    select(plan_versions).where(_this_plan, _is_published).order_by(plan_versions.c.version.desc()).limit(1)
)
_PUBLISHED = compiled(
    select(plan_versions)
    .distinct(plan_versions.c.plan_id)
    .where(_is_published)
    .order_by(plan_versions.c.plan_id, plan_versions.c.version.desc())
)


async def features(connection: Connection) -> dict[str, FeatureDef]:
    """Every feature by its id, in the order of the ids."""
    return {row["feature_id"]: feature_of(row) for row in await connection.fetch(_FEATURES)}


async def version(connection: Connection, plan_id: str, version: int) -> PlanVersion | None:
    """That version of the plan; None when there is none."""
    return _maybe(await connection.fetch_row(_VERSION, plan_id=plan_id, version=version))


async def newest_published(connection: Connection, plan_id: str) -> PlanVersion | None:
    """The version that new tenants of the plan get; None when the plan takes none."""
    return _maybe(await connection.fetch_row(_NEWEST_PUBLISHED, plan_id=plan_id))


async def published(connection: Connection) -> list[PlanVersion]:
    """The version that new tenants get, of each plan that takes any, by plan."""
    return [plan_of(row) for row in await connection.fetch(_PUBLISHED)]
