"""The SQL of overrides, and nothing else. All of it goes through the tenant's door."""

from __future__ import annotations

import json

from sqlalchemy import Integer, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.entitlements.entitlement import Override
from tenantmesh.tenant_svc.entitlements.repository import OVERRIDE, override_of
from tenantmesh.tenant_svc.entitlements.tables import overrides
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.overrides.rules import OverrideDraft

__all__ = ["clear", "get", "page", "store", "values"]

_own = overrides.c.tenant_id == bindparam("tenant_id", type_=overrides.c.tenant_id.type)
_this = (_own, overrides.c.feature_id == bindparam("feature_id", type_=overrides.c.feature_id.type))
_PAGE = compiled(
    select(*OVERRIDE)
    .where(_own, overrides.c.feature_id > bindparam("after", type_=overrides.c.feature_id.type))
    .order_by(overrides.c.feature_id)
    .limit(bindparam("size", type_=Integer))
)
_VALUES = compiled(select(overrides.c.feature_id, overrides.c.value).where(_own))
_GET = compiled(select(*OVERRIDE).where(*_this))
_new = insert(overrides).values(
    tenant_id=bindparam("tenant_id"),
    feature_id=bindparam("feature_id"),
    value=bindparam("value", type_=overrides.c.value.type),
    reason=bindparam("reason"),
    expire_time=bindparam("expire_time"),
    create_time=func.statement_timestamp(),
)
_SET = compiled(
    _new.on_conflict_do_update(
        index_elements=[overrides.c.tenant_id, overrides.c.feature_id],
        set_={name: _new.excluded[name] for name in ("value", "reason", "expire_time", "create_time")},
    ).returning(*OVERRIDE)
)
_CLEAR = compiled(delete(overrides).where(*_this).returning(*OVERRIDE))


async def page(connection: Connection, tenant_id: TenantId, after: str, size: int) -> list[Override]:
    """Return the tenant's overrides of the features after that one, by feature, expired ones included."""
    rows = await connection.fetch(_PAGE, tenant_id=tenant_id, after=after, size=size)
    return [override_of(row) for row in rows]


async def values(connection: Connection, tenant_id: TenantId) -> dict[str, FeatureValue]:
    """Return the values of all the tenant's overrides by feature, expired ones included."""
    rows = await connection.fetch(_VALUES, tenant_id=tenant_id)
    return {row["feature_id"]: FeatureValue.from_json(json.loads(row["value"])) for row in rows}


async def get(connection: Connection, tenant_id: TenantId, feature: str) -> Override | None:
    """Return the tenant's override of the feature, or None when it does not exist."""
    row = await connection.fetch_row(_GET, tenant_id=tenant_id, feature_id=feature)
    return None if row is None else override_of(row)


async def store(connection: Connection, tenant_id: TenantId, draft: OverrideDraft, value: FeatureValue) -> Override:
    """Store the override in place of an older one."""
    row = await connection.fetch_row(
        _SET,
        tenant_id=tenant_id,
        feature_id=draft.feature,
        value=value.to_json(),
        reason=draft.reason,
        expire_time=draft.expire_time,
    )
    return _stored(row)


async def clear(connection: Connection, tenant_id: TenantId, feature: str) -> Override:
    """Delete the override, which this transaction has seen, and return it."""
    return _stored(await connection.fetch_row(_CLEAR, tenant_id=tenant_id, feature_id=feature))


def _stored(row: Record | None) -> Override:
    if row is None:
        raise LookupError("an override that this transaction has stored or seen is missing")
    return override_of(row)
