"""The statements behind `reader.py`. Each row holds all facts about one tenant's entitlements, with lists as JSON.

The statements share their columns, so that one tenant through its own door and many at once are read alike. Every part
names the tenant of its row although row security does.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Label,
    ScalarSelect,
    Select,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    column,
    func,
    literal_column,
    select,
    tuple_,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by, distinct_on

from tenantmesh.runtime.database import compiled
from tenantmesh.tenant_svc.balances.repository import GRANT
from tenantmesh.tenant_svc.balances.tables import gauges, grants, ledger
from tenantmesh.tenant_svc.catalog_log.tables import catalog_events
from tenantmesh.tenant_svc.entitlements.repository import OVERRIDE
from tenantmesh.tenant_svc.entitlements.tables import overrides, plan_terms
from tenantmesh.tenant_svc.features.tables import features
from tenantmesh.tenant_svc.history.tables import entitlement_events
from tenantmesh.tenant_svc.plans.tables import plan_versions
from tenantmesh.tenant_svc.tenants.rows import LEADS
from tenantmesh.tenant_svc.tenants.tables import tenant_slugs, tenants

__all__ = ["BY_SLUGS", "CATALOG", "MANY_SPENT", "ONE", "ONE_SPENT"]

_now = func.statement_timestamp()


def _object(*columns: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return one row as a JSON object, with a jsonb column as text, as a row of its table has it."""
    values = [sql_cast(field, Text) if isinstance(field.type, JSONB) else field for field in columns]
    names: list[ColumnElement[Any]] = [literal_column(f"'{field.key}'") for field in columns]
    return func.json_build_object(*chain.from_iterable(zip(names, values, strict=True)))


def _list(*columns: ColumnElement[Any], order: ColumnElement[Any]) -> Select[Any]:
    return select(func.json_agg(aggregate_order_by(_object(*columns), order)))


def _its(table: Table) -> ColumnElement[bool]:
    """Return the condition for rows of the outer row's tenant."""
    return table.c.tenant_id == tenants.c.tenant_id


def _part(name: str, part: Select[Any]) -> Label[Any]:
    return part.correlate(tenants).scalar_subquery().label(name)


def _or_zero(number: Select[Any]) -> ColumnElement[Any]:
    return func.coalesce(number.scalar_subquery(), literal_column("0"))


def _plan(plan_id: ColumnElement[Any], version: ColumnElement[Any]) -> ScalarSelect[Any]:
    this = (plan_versions.c.plan_id == plan_id, plan_versions.c.version == version)
    return select(_object(*plan_versions.c)).where(*this).scalar_subquery()


_newest = (
    select(plan_versions)
    .ext(distinct_on(plan_versions.c.plan_id))
    .where(plan_versions.c.state == literal_column("'PUBLISHED'"))
    .order_by(plan_versions.c.plan_id, plan_versions.c.version.desc())
    .subquery()
)
# The first version exists as long as the plan does, so its row stands for the plan.
_listed = select(func.json_object_agg(plan_versions.c.plan_id, plan_versions.c.listed)).where(
    plan_versions.c.version == literal_column("1")
)
_catalog: list[ColumnElement[Any]] = [
    _list(*features.c, order=features.c.feature_id).scalar_subquery().label("features"),
    _list(*_newest.c, order=_newest.c.plan_id).scalar_subquery().label("published"),
    _listed.scalar_subquery().label("listed"),
]
# Two counters that only this tenant's changes and those of the catalog move. Positions count everybody's changes.
_own_changes = select(func.max(entitlement_events.c.number)).where(_its(entitlement_events)).correlate(tenants)
_catalog_changes = select(func.max(catalog_events.c.number))
_unexpired = overrides.c.expire_time.is_(None) | (overrides.c.expire_time > _now)
_usable = grants.c.void_time.is_(None) & (grants.c.expire_time.is_(None) | (grants.c.expire_time > _now))
_promised = (
    func.jsonb_to_recordset(plan_terms.c.grace_plans)
    .table_valued(column("id", Text), column("version", Integer))
    .render_derived(name="promised", with_types=True)
)
_grace_plans = _list(*plan_versions.c, order=tuple_(plan_versions.c.plan_id, plan_versions.c.version)).join(
    _promised, (plan_versions.c.plan_id == _promised.c.id) & (plan_versions.c.version == _promised.c.version)
)
_terms = func.json_build_object(
    literal_column("'over_limit_policy'"),
    plan_terms.c.over_limit_policy,
    literal_column("'grace_until'"),
    plan_terms.c.grace_until,
    literal_column("'grace_plans'"),
    _grace_plans.correlate(plan_terms).scalar_subquery(),
)
_own: list[ColumnElement[Any]] = [
    _now.label("now"),
    tenants.c.tenant_id,
    tenants.c.state,
    _plan(tenants.c.plan_id, tenants.c.plan_version).label("plan"),
    (_or_zero(_own_changes) + _or_zero(_catalog_changes)).label("revision"),
    _part("overrides", _list(*OVERRIDE, order=overrides.c.feature_id).where(_its(overrides), _unexpired)),
    _part("grants", _list(*GRANT, order=grants.c.grant_id).where(_its(grants), _usable)),
    _part("terms", select(_terms).where(_its(plan_terms))),
    _part("levels", select(func.json_object_agg(gauges.c.feature_id, gauges.c.level)).where(_its(gauges))),
]

# The units given out of each feature in its current period.
_this_period = func.date_trunc(func.lower(features.c.period), _now, literal_column("'UTC'"))
_spent = _part(
    "spent",
    select(func.json_object_agg(ledger.c.feature_id, func.json_build_array(ledger.c.given, ledger.c.from_plan)))
    .join_from(features, ledger, ledger.c.feature_id == features.c.feature_id)
    .where(_its(ledger), features.c.period != literal_column("''"), ledger.c.period_start == _this_period),
)

_exists = tenants.c.state != literal_column("'DELETED'")
_one = (tenants.c.tenant_id == bindparam("tenant_id", type_=tenants.c.tenant_id.type), _exists)
_many = (tenants.c.tenant_id == any_(bindparam("tenant_ids", type_=ARRAY(Uuid))), _exists)

# Through the tenant's door

ONE = compiled(select(*_own, *_catalog).where(*_one))
ONE_SPENT = compiled(select(*_own, *_catalog, _spent).where(*_one))

# Through the system door, across tenants

CATALOG = compiled(select(*_catalog))
MANY_SPENT = compiled(select(*_own, _spent).where(*_many))
BY_SLUGS = compiled(
    select(tenant_slugs.c.slug, tenant_slugs.c.tenant_id)
    .join(tenants, tenants.c.tenant_id == tenant_slugs.c.tenant_id)
    .where(tenant_slugs.c.slug == any_(bindparam("slugs", type_=ARRAY(Text))), LEADS, _exists)
)
