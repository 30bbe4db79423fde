"""The SQL of features, and nothing else. Either door may read all of them; the rest goes through the system door."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import BindParameter, bindparam, func, insert, select, update

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.features.feature import FeatureDef, Period, Rollout
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tenantmesh.tenant_svc.features.tables import features

__all__ = ["all_features", "by_id", "change", "count", "create", "feature_of", "locked", "page"]


def feature_of(row: Record) -> FeatureDef:
    """Return the feature in a row."""
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
        row["owner"],
    )


_this_feature = features.c.feature_id == bindparam("feature_id")

# Through either door

_ALL = compiled(select(features).order_by(features.c.feature_id))


async def all_features(connection: Connection) -> dict[str, FeatureDef]:
    """Return every feature by its id, in the order of the ids."""
    return {row["feature_id"]: feature_of(row) for row in await connection.fetch(_ALL)}


# Through the system door

_COUNT = compiled(select(func.count().label("count")).select_from(features))
_BY_ID = compiled(select(features).where(_this_feature))
_LOCKED = compiled(select(features).where(_this_feature).with_for_update())
_PAGE = compiled(
    select(features)
    .where(features.c.feature_id > bindparam("after", type_=features.c.feature_id.type))
    .order_by(features.c.feature_id)
    .limit(bindparam("size"))
)
_content: dict[str, BindParameter[Any]] = {
    name: bindparam(f"new_{name}")
    for name in ("display_name", "unit", "rollout_basis_points", "rollout_plan_ids", "owner")
}
_INSERT = compiled(
    insert(features)
    .values(
        feature_id=bindparam("feature_id"),
        type=bindparam("type"),
        period=bindparam("period"),
        create_time=func.statement_timestamp(),
        update_time=func.statement_timestamp(),
        version=1,
        **_content,
    )
    .returning(features)
)
_UPDATE = compiled(
    update(features)
    .where(_this_feature)
    .values(update_time=func.statement_timestamp(), version=features.c.version + 1, **_content)
    .returning(features)
)


async def count(connection: Connection) -> int:
    """Return the number of features."""
    row = await connection.fetch_row(_COUNT)
    return 0 if row is None else int(row["count"])


async def by_id(connection: Connection, feature_id: str) -> FeatureDef | None:
    """Return the feature, or None when it does not exist."""
    return _maybe(await connection.fetch_row(_BY_ID, feature_id=feature_id))


async def locked(connection: Connection, feature_id: str) -> FeatureDef | None:
    """Return the feature as `by_id` does, and lock its row until this transaction ends."""
    return _maybe(await connection.fetch_row(_LOCKED, feature_id=feature_id))


async def page(connection: Connection, after: str, size: int) -> list[FeatureDef]:
    """Return the features after that id, ordered by id."""
    return [feature_of(row) for row in await connection.fetch(_PAGE, after=after, size=size)]


async def create(connection: Connection, draft: FeatureDraft, feature_type: FeatureType) -> FeatureDef:
    """Store a checked feature of that type. Raises UniqueViolation when its id exists."""
    row = await connection.fetch_row(
        _INSERT,
        feature_id=draft.id,
        type=feature_type.value,
        period="" if draft.period is None else draft.period.value,
        **_stored_content(draft),
    )
    return _stored(row)


async def change(connection: Connection, wanted: FeatureDef) -> FeatureDef:
    """Store the fields of the feature that may change. Call after `locked`."""
    return _stored(await connection.fetch_row(_UPDATE, feature_id=wanted.id, **_stored_content(wanted)))


def _maybe(row: Record | None) -> FeatureDef | None:
    return None if row is None else feature_of(row)


def _stored(row: Record | None) -> FeatureDef:
    if row is None:
        raise LookupError("a feature that this transaction has locked is missing")
    return feature_of(row)


def _stored_content(wanted: FeatureDraft | FeatureDef) -> dict[str, Any]:
    rollout = wanted.rollout
    return {
        "new_display_name": wanted.display_name,
        "new_unit": wanted.unit,
        "new_owner": wanted.owner,
        "new_rollout_basis_points": None if rollout is None else rollout.basis_points,
        "new_rollout_plan_ids": [] if rollout is None else list(rollout.plan_ids),
    }
