"""Everything that one tenant's entitlements follow from, read by one statement: it stands behind lease refills and
cache misses, where every round trip counts. Through the tenant's door.

The statement answers with one row, whose lists are JSON. What belongs to the catalog is the same text for every tenant
until it changes, so what was made of it is kept.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any, cast

from sqlalchemy import ColumnElement, ScalarSelect, Text, bindparam, func, literal_column, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by, distinct_on

from interceptors.tenants import TenantId, TenantState
from runtime.database import Connection, Record, compiled
from tenant_svc.entitlements import repository
from tenant_svc.entitlements.entitlement import (
    Circumstances,
    OverLimitPolicy,
    PlanTerms,
    TenantEntitlements,
    effective,
)
from tenant_svc.entitlements.tables import catalog_events, entitlement_events, grants, overrides, plan_terms
from tenant_svc.plans.plan import FeatureDef, PlanVersion
from tenant_svc.plans.repository import feature_of, plan_of
from tenant_svc.plans.tables import features, plan_versions
from tenant_svc.quotas.tables import gauges
from tenant_svc.tenants.tables import tenants

__all__ = ["load"]

_TIMES = frozenset(
    {"create_time", "update_time", "publish_time", "archive_time", "effective_time", "expire_time", "void_time"}
    | {"balance_period"}
)


def _object(*columns: ColumnElement[Any]) -> ColumnElement[Any]:
    """One row as a JSON object; a jsonb column as the text that it is in a row of its table."""
    values = [sql_cast(each, Text) if isinstance(each.type, JSONB) else each for each in columns]
    names: list[ColumnElement[Any]] = [literal_column(f"'{each.key}'") for each in columns]
    return func.json_build_object(*chain.from_iterable(zip(names, values, strict=True)))


def _list(*columns: ColumnElement[Any], order: ColumnElement[Any]) -> Any:
    return select(func.json_agg(aggregate_order_by(_object(*columns), order)))


def _own(table: Any) -> ColumnElement[bool]:
    return cast("ColumnElement[bool]", table.c.tenant_id == bindparam("tenant_id", type_=table.c.tenant_id.type))


def _plan(plan_id: ColumnElement[Any], version: ColumnElement[Any]) -> ScalarSelect[Any]:
    this = (plan_versions.c.plan_id == plan_id, plan_versions.c.version == version)
    return select(_object(*plan_versions.c)).where(*this).scalar_subquery()


_now = func.statement_timestamp()
_newest = (
    select(plan_versions)
    .ext(distinct_on(plan_versions.c.plan_id))
    .where(plan_versions.c.state == literal_column("'PUBLISHED'"))
    .order_by(plan_versions.c.plan_id, plan_versions.c.version.desc())
    .subquery()
)
_terms = select(
    func.json_build_object(
        literal_column("'over_limit_policy'"),
        plan_terms.c.over_limit_policy,
        literal_column("'grace_until'"),
        plan_terms.c.grace_until,
        literal_column("'grace_plan'"),
        _plan(plan_terms.c.grace_plan_id, plan_terms.c.grace_plan_version),
    )
).where(_own(plan_terms))
_last_change = select(func.max(entitlement_events.c.position)).where(_own(entitlement_events)).scalar_subquery()
_last_of_catalog = select(func.max(catalog_events.c.position)).scalar_subquery()
_unexpired_override = (overrides.c.expire_time.is_(None)) | (overrides.c.expire_time > _now)
_usable_grant = grants.c.void_time.is_(None) & ((grants.c.expire_time.is_(None)) | (grants.c.expire_time > _now))

_LOAD = compiled(
    select(
        _now.label("now"),
        tenants.c.state,
        _plan(tenants.c.plan_id, tenants.c.plan_version).label("plan"),
        func.greatest(_last_change, _last_of_catalog, literal_column("0")).label("revision"),
        _list(*features.c, order=features.c.feature_id).scalar_subquery().label("features"),
        _list(*_newest.c, order=_newest.c.plan_id).scalar_subquery().label("published"),
        _list(*repository.OVERRIDE, order=overrides.c.feature_id)
        .where(_own(overrides), _unexpired_override)
        .scalar_subquery()
        .label("overrides"),
        _list(*repository.GRANT, order=grants.c.grant_id)
        .where(_own(grants), _usable_grant)
        .scalar_subquery()
        .label("grants"),
        _terms.scalar_subquery().label("terms"),
        select(func.json_object_agg(gauges.c.feature_id, gauges.c.level))
        .where(_own(gauges))
        .scalar_subquery()
        .label("levels"),
    ).where(_own(tenants), tenants.c.state != literal_column("'DELETED'"))
)


async def load(connection: Connection, tenant_id: TenantId) -> TenantEntitlements | None:
    """What the tenant is entitled to now, by the database's clock; None when it is deleted or was never."""
    row = await connection.fetch_row(_LOAD, tenant_id=tenant_id)
    return None if row is None else effective(_circumstances(tenant_id, row))


def _circumstances(tenant_id: TenantId, row: Record) -> Circumstances:
    return Circumstances(
        tenant_id=tenant_id,
        state=TenantState(row["state"]),
        now=row["now"],
        revision=row["revision"],
        plan=_plan_in(row["plan"]),
        features=_features_in(row["features"]),
        published=_plans_in(row["published"]),
        overrides=[repository.override_of(each) for each in _rows(row["overrides"])],
        grants=[repository.grant_of(each) for each in _rows(row["grants"])],
        terms=_terms_in(row["terms"]),
        levels=json.loads(row["levels"] or "{}"),
    )


@lru_cache(maxsize=64)
def _plan_in(text: str) -> PlanVersion:
    return plan_of(_typed(json.loads(text)))


@lru_cache(maxsize=4)
def _plans_in(text: str | None) -> tuple[PlanVersion, ...]:
    return tuple(plan_of(each) for each in _rows(text))


@lru_cache(maxsize=4)
def _features_in(text: str | None) -> dict[str, FeatureDef]:
    return {each["feature_id"]: feature_of(each) for each in _rows(text)}


def _terms_in(text: str | None) -> PlanTerms:
    if text is None:
        return PlanTerms()
    stored = json.loads(text)
    grace_until, grace_plan = stored["grace_until"], stored["grace_plan"]
    return PlanTerms(
        OverLimitPolicy(stored["over_limit_policy"]),
        None if grace_until is None else _moment(grace_until),
        None if grace_plan is None else plan_of(_typed(grace_plan)),
    )


def _rows(text: str | None) -> list[Record]:
    return [_typed(each) for each in json.loads(text or "[]")]


def _typed(row: dict[str, Any]) -> Record:
    """A JSON object as the row of a table that it came from: anything that is read by names of columns."""
    for name in _TIMES & row.keys():
        row[name] = None if row[name] is None else _moment(row[name])
    for name in ("tenant_id", "grant_id"):
        if name in row:
            row[name] = repository.uuid_of(row[name])
    return cast("Record", row)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
