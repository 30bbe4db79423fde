"""The SQL of the log of entitlements, and nothing else. One tenant's history is written and read through its own door;
the log as a whole is read through the system door."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Integer,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    insert,
    literal_column,
    null,
    select,
    union_all,
)

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.catalog_log.repository import ENTITLEMENTS_CHANNEL
from tenantmesh.tenant_svc.catalog_log.tables import catalog_events
from tenantmesh.tenant_svc.history.event import ChangeType, EntitlementEvent, HistoryPlace, NewChange
from tenantmesh.tenant_svc.history.places import BEFORE_PLACE, OF_CATALOG, OF_OWN
from tenantmesh.tenant_svc.history.tables import entitlement_events
from tenantmesh.tenant_svc.plans.tables import plan_versions
from tenantmesh.tenant_svc.positions import positions
from tenantmesh.tenant_svc.tenants.tables import tenant_tombstones, tenants

__all__ = [
    "TEXTS",
    "after",
    "concerning",
    "head",
    "history",
    "nameable_plans",
    "record",
    "unchanged_since",
]

_nothing = literal_column("''", Text)
_log = entitlement_events.c
_of_tenants = select(
    _log.position,
    _log.type,
    _log.tenant_id,
    _log.create_time,
    _log.feature_id,
    _log.actor,
    _log.reason,
    _log.before,
    _log.after,
    _log.plan_id,
    _log.plan_version,
)
_of_catalog = select(
    catalog_events.c.position,
    literal_column("'CATALOG_CHANGED'", Text).label("type"),
    cast(null(), Uuid).label("tenant_id"),
    catalog_events.c.create_time,
    catalog_events.c.feature_id,
    catalog_events.c.actor,
    _nothing.label("reason"),
    catalog_events.c.before,
    catalog_events.c.after,
    _nothing.label("plan_id"),
    literal_column("0", Integer).label("plan_version"),
)


def event_of(row: Record) -> EntitlementEvent:
    """Return the event in a row."""
    tenant_id = row["tenant_id"]
    return EntitlementEvent(
        row["position"],
        ChangeType(row["type"]),
        None if tenant_id is None else TenantId(tenant_id),
        row["create_time"],
        row["feature_id"],
        row["actor"],
        row["reason"],
        row["before"],
        row["after"],
        row["plan_id"],
        row["plan_version"],
    )


def _placed(row: Record) -> EntitlementEvent:
    """Return the event in a row that was read for one tenant."""
    return replace(event_of(row), place=HistoryPlace(row["own"], row["catalog"]))


def _both(of_tenants: Select[Any], of_catalog: Select[Any], *, newest_first: bool) -> CompoundSelect[Any]:
    """Return a select of the first `size` events of both logs. Each part has its own limit, so that neither is read to
    its end."""
    size = bindparam("size", type_=Integer)
    parts = [
        part.order_by(position.desc() if newest_first else position).limit(size).subquery()
        for part, position in ((of_tenants, _log.position), (of_catalog, catalog_events.c.position))
    ]
    both = union_all(*(select(part) for part in parts))
    position = both.selected_columns.position
    return both.order_by(position.desc() if newest_first else position).limit(size)


# Through the tenant's door

_tenant_id = bindparam("tenant_id", type_=Uuid)
_own = _log.tenant_id == _tenant_id
_born = select(tenants.c.create_time).where(tenants.c.tenant_id == _tenant_id).scalar_subquery()
# Of the catalog, only changes of features. A new version of a plan changes nothing for tenants on an older one, and its
# name may be another customer's.
_HISTORY = compiled(
    _both(
        _of_tenants.add_columns(*OF_OWN).where(_own, _log.position < BEFORE_PLACE),
        _of_catalog.add_columns(*OF_CATALOG).where(
            catalog_events.c.position < BEFORE_PLACE,
            catalog_events.c.feature_id != _nothing,
            catalog_events.c.create_time >= _born,
        ),
        newest_first=True,
    )
)
_feature = bindparam("feature_id", type_=Text)
_changes_the_plan = _log.type == literal_column("'PLAN_CHANGED'")
_CONCERNING = compiled(
    _both(
        _of_tenants.add_columns(*OF_OWN).where(_own, (_log.feature_id == _feature) | _changes_the_plan),
        _of_catalog.add_columns(*OF_CATALOG).where(catalog_events.c.feature_id == _feature),
        newest_first=True,
    )
)

_own_plan = select(tenants.c.plan_id).where(tenants.c.tenant_id == _tenant_id).scalar_subquery()
_NAMEABLE = compiled(
    select(plan_versions.c.plan_id).where(
        plan_versions.c.version == literal_column("1"),  # it exists as long as the plan does
        plan_versions.c.listed | (plan_versions.c.plan_id == _own_plan),
    )
)


TEXTS = ("type", "feature_id", "actor", "reason", "before", "after")
_RECORD = compiled(
    insert(entitlement_events)
    .from_select(
        ["tenant_id", "position", *TEXTS, "plan_id", "plan_version", "create_time"],
        select(
            tenants.c.tenant_id,
            positions.next_value(),
            *(bindparam(name, type_=entitlement_events.c[name].type) for name in TEXTS),
            tenants.c.plan_id,
            tenants.c.plan_version,
            func.statement_timestamp(),
        ).where(tenants.c.tenant_id == _tenant_id),
    )
    .returning(entitlement_events.c.position, func.pg_notify(ENTITLEMENTS_CHANNEL, literal_column("''")))
)


async def record(connection: Connection, tenant_id: TenantId, change: NewChange) -> int:
    """Append the change to the log, with the tenant's current plan, and return the event's position.

    Call after `lock_log`. Listeners are notified when this transaction commits. Raises LookupError when the tenant's
    row is missing.
    """
    row = await connection.fetch_row(
        _RECORD,
        tenant_id=tenant_id,
        type=change.type.value,
        feature_id=change.feature,
        actor=change.actor,
        reason=change.reason,
        before=change.before,
        after=change.after,
    )
    if row is None:
        raise LookupError("a tenant whose entitlements change is missing")
    return int(row["position"])


async def history(
    connection: Connection, tenant_id: TenantId, before: HistoryPlace, size: int
) -> list[EntitlementEvent]:
    """Return the events before the place, newest first: the tenant's own, and changes of features since its
    creation."""
    rows = await connection.fetch(_HISTORY, tenant_id=tenant_id, own=before.own, catalog=before.catalog, size=size)
    return [_placed(row) for row in rows]


async def nameable_plans(connection: Connection, tenant_id: TenantId) -> frozenset[str]:
    """Return the plans whose names the tenant may see: the listed ones and its own."""
    return frozenset(row["plan_id"] for row in await connection.fetch(_NAMEABLE, tenant_id=tenant_id))


async def concerning(connection: Connection, tenant_id: TenantId, feature: str, size: int) -> list[EntitlementEvent]:
    """Return the newest events of the tenant's feature or plan, and of the feature in the catalog, newest first."""
    rows = await connection.fetch(_CONCERNING, tenant_id=tenant_id, feature_id=feature, size=size)
    return [_placed(row) for row in rows]


# Through the system door, across tenants

_HEAD = compiled(
    select(
        func.greatest(
            select(func.max(_log.position)).scalar_subquery(),
            select(func.max(catalog_events.c.position)).scalar_subquery(),
            # A purge removes events at the end of the log: the tombstone of its tenant stays behind them.
            select(func.max(tenant_tombstones.c.position)).scalar_subquery(),
            literal_column("0"),
        ).label("position")
    )
)
_after = bindparam("after", type_=BigInteger)
_AFTER = compiled(
    _both(
        _of_tenants.where(_log.position > _after),
        _of_catalog.where(catalog_events.c.position > _after),
        newest_first=False,
    )
)
# The position of a tenant's last event, looked up in its own entries of the index. NOT EXISTS would let the planner
# read the whole log for each page.
_last_change = (
    select(func.max(_log.position)).where(_log.tenant_id == tenants.c.tenant_id).correlate(tenants).scalar_subquery()
)
_UNCHANGED_SINCE = compiled(
    select(
        tenants.c.tenant_id,
        tenants.c.plan_id,
        tenants.c.plan_version,
        func.statement_timestamp().label("create_time"),
    )
    .where(
        tenants.c.tenant_id > bindparam("after", type_=Uuid),
        tenants.c.state != literal_column("'DELETED'"),
        func.coalesce(_last_change, literal_column("0")) <= bindparam("position", type_=BigInteger),
    )
    .order_by(tenants.c.tenant_id)
    .limit(bindparam("size", type_=Integer))
)


async def head(connection: Connection) -> int:
    """Return the position of the last event, 0 before the first."""
    row = await connection.fetch_row(_HEAD)
    return 0 if row is None else int(row["position"])


async def after(connection: Connection, position: int, size: int) -> list[EntitlementEvent]:
    """Return the events of all tenants and of the catalog after the position, oldest first."""
    return [event_of(row) for row in await connection.fetch(_AFTER, after=position, size=size)]


async def unchanged_since(
    connection: Connection, position: int, after_tenant: uuid.UUID, size: int
) -> list[EntitlementEvent]:
    """Return the tenants without an event after the position, by ascending id, each as a snapshot at the position.

    Changes of the catalog do not count: watches receive them in any case.
    """
    rows = await connection.fetch(_UNCHANGED_SINCE, position=position, after=after_tenant, size=size)
    return [
        EntitlementEvent(
            position,
            ChangeType.SNAPSHOT,
            TenantId(row["tenant_id"]),
            row["create_time"],
            plan_id=row["plan_id"],
            plan_version=row["plan_version"],
        )
        for row in rows
    ]
