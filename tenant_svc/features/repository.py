"""The SQL of changing and listing features, and nothing else. All of it is the system door's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, bindparam, func, insert, select, update

from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.plans.plan import FeatureDef, FeatureType, Rollout
from tenantmesh.tenant_svc.plans.repository import feature_of
from tenantmesh.tenant_svc.plans.rules import FeatureDraft
from tenantmesh.tenant_svc.plans.tables import features

__all__ = ["by_id", "change", "create", "locked", "page"]

_this_feature = features.c.feature_id == bindparam("feature_id")

_BY_ID = compiled(select(features).where(_this_feature))
_LOCKED = compiled(select(features).where(_this_feature).with_for_update())
_PAGE = compiled(
    select(features)
    .where(features.c.feature_id > bindparam("after", type_=features.c.feature_id.type))
    .order_by(features.c.feature_id)
    .limit(bindparam("size"))
)
_content: dict[str, BindParameter[Any]] = {
    name: bindparam(f"new_{name}") for name in ("display_name", "unit", "rollout_basis_points", "rollout_plan_ids")
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


async def by_id(connection: Connection, feature_id: str) -> FeatureDef | None:
    """The feature; None when there is none."""
    return _maybe(await connection.fetch_row(_BY_ID, feature_id=feature_id))


async def locked(connection: Connection, feature_id: str) -> FeatureDef | None:
    """As `by_id`, and nobody changes it before this transaction ends."""
    return _maybe(await connection.fetch_row(_LOCKED, feature_id=feature_id))


async def page(connection: Connection, after: str, size: int) -> list[FeatureDef]:
    """The features whose ids follow, in their order."""
    return [feature_of(row) for row in await connection.fetch(_PAGE, after=after, size=size)]


async def create(connection: Connection, draft: FeatureDraft, type_: FeatureType) -> FeatureDef:
    """Stores a checked feature of that type. Raises UniqueViolation when there is one of its id."""
    row = await connection.fetch_row(
        _INSERT,
        feature_id=draft.id,
        type=type_.value,
        period="" if draft.period is None else draft.period.value,
        **_stored_content(draft.display_name, draft.unit, draft.rollout),
    )
    return _stored(row)


async def change(connection: Connection, wanted: FeatureDef) -> FeatureDef:
    """Stores what of the feature may change. After `locked`."""
    content = _stored_content(wanted.display_name, wanted.unit, wanted.rollout)
    return _stored(await connection.fetch_row(_UPDATE, feature_id=wanted.id, **content))


def _maybe(row: Record | None) -> FeatureDef | None:
    return None if row is None else feature_of(row)


def _stored(row: Record | None) -> FeatureDef:
    if row is None:
        raise LookupError("a feature that this transaction holds is gone")
    return feature_of(row)


def _stored_content(display_name: str, unit: str, rollout: Rollout | None) -> dict[str, Any]:
    return {
        "new_display_name": display_name,
        "new_unit": unit,
        "new_rollout_basis_points": None if rollout is None else rollout.basis_points,
        "new_rollout_plan_ids": [] if rollout is None else list(rollout.plan_ids),
    }
