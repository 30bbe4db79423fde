"""The SQL of levels, and nothing else. Each group of statements names its door."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Integer, Interval, bindparam, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, batch_of, compiled, in_batch
from tenantmesh.tenant_svc.balances.tables import gauges
from tenantmesh.tenant_svc.gauges.gauge import Adjustment, Report
from tenantmesh.tenant_svc.gauges.tables import gauge_adjustments

__all__ = ["adjusted_by", "forget", "lock", "remember", "set_level", "store_report"]

_own = gauges.c.tenant_id == bindparam("tenant_id", type_=gauges.c.tenant_id.type)
_this = gauges.c.feature_id == bindparam("gauge", type_=gauges.c.feature_id.type)

# Through the tenant's door

_LOCK = compiled(
    select(gauges.c.level, gauges.c.reported_version, gauges.c.reporter).where(_own, _this).with_for_update()
)
_OPEN = compiled(
    insert(gauges)
    .values(
        tenant_id=bindparam("tenant_id"),
        feature_id=bindparam("gauge"),
        level=literal(0),
        update_time=func.now(),
    )
    .on_conflict_do_nothing()
)
_SET_LEVEL = compiled(update(gauges).where(_own, _this).values(level=bindparam("new_level"), update_time=func.now()))
_STORE_REPORT = compiled(
    update(gauges)
    .where(_own, _this)
    .values(
        level=bindparam("new_level"),
        reported_version=bindparam("new_version"),
        reporter=bindparam("new_reporter"),
        update_time=func.now(),
    )
)
_ADJUSTED_BY = compiled(
    select(gauge_adjustments.c.delta, gauge_adjustments.c.level)
    .where(gauge_adjustments.c.tenant_id == bindparam("tenant_id", type_=gauge_adjustments.c.tenant_id.type))
    .where(gauge_adjustments.c.feature_id == bindparam("gauge"), gauge_adjustments.c.key == bindparam("key"))
    .where(gauge_adjustments.c.requester.in_((bindparam("requester"), literal(""))))
)
_REMEMBER = compiled(
    insert(gauge_adjustments).values(
        tenant_id=bindparam("tenant_id"),
        feature_id=bindparam("gauge"),
        requester=bindparam("requester"),
        key=bindparam("key"),
        delta=bindparam("delta"),
        level=bindparam("level"),
        create_time=func.now(),
    )
)


async def lock(connection: Connection, tenant_id: TenantId, gauge: str) -> Record:
    """Lock and return the level, with the version and the reporter of its last report, None without one. A new gauge
    begins at 0."""
    row = await connection.fetch_row(_LOCK, tenant_id=tenant_id, gauge=gauge)
    if row is None:
        await connection.execute(_OPEN, tenant_id=tenant_id, gauge=gauge)
        row = await connection.fetch_row(_LOCK, tenant_id=tenant_id, gauge=gauge)
    if row is None:
        raise LookupError("a gauge that this transaction has opened is missing")
    return row


async def set_level(connection: Connection, tenant_id: TenantId, gauge: str, level: int) -> None:
    """Store the level of a gauge that nobody reports."""
    await connection.execute(_SET_LEVEL, tenant_id=tenant_id, gauge=gauge, new_level=level)


async def store_report(connection: Connection, tenant_id: TenantId, report: Report) -> None:
    """Store the level that the report says, its version and who reports."""
    await connection.execute(
        _STORE_REPORT,
        tenant_id=tenant_id,
        gauge=report.gauge,
        new_level=report.level,
        new_version=report.version,
        new_reporter=report.reporter,
    )


async def adjusted_by(connection: Connection, tenant_id: TenantId, adjustment: Adjustment) -> tuple[int, int] | None:
    """Return the delta that the key was used with, and the level that it made; None for a new key. The caller has
    locked the level."""
    row = await connection.fetch_row(
        _ADJUSTED_BY,
        tenant_id=tenant_id,
        gauge=adjustment.gauge,
        key=adjustment.key,
        requester=adjustment.requester,
    )
    return None if row is None else (row["delta"], row["level"])


async def remember(connection: Connection, tenant_id: TenantId, adjustment: Adjustment, level: int) -> None:
    """Store the key, with the delta and the level that it made."""
    await connection.execute(
        _REMEMBER,
        tenant_id=tenant_id,
        gauge=adjustment.gauge,
        requester=adjustment.requester,
        key=adjustment.key,
        delta=adjustment.delta,
        level=level,
    )


# Through the system door, across tenants

_older = (
    batch_of(gauge_adjustments)
    .where(gauge_adjustments.c.create_time < func.now() - bindparam("keep", type_=Interval))
    .order_by(gauge_adjustments.c.create_time)
    .limit(bindparam("size", type_=Integer))
)
_FORGET = compiled(delete(gauge_adjustments).where(in_batch(gauge_adjustments, _older)))


async def forget(connection: Connection, keep: timedelta, size: int) -> int:
    """Delete up to `size` keys that are older than `keep`, oldest first, and return how many."""
    return await connection.execute(_FORGET, keep=keep, size=size)
