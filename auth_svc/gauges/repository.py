"""The SQL of gauges. Each function says which door it needs; the use case opens it."""

from __future__ import annotations

import uuid

from sqlalchemy import bindparam, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.auth_svc.gauges.gauge import GaugeLevel
from tenantmesh.auth_svc.gauges.tables import gauges
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, InternalDatabaseError, compiled

__all__ = ["hold", "lift", "mark_reported", "unreported"]

_OF_TENANT = (gauges.c.tenant_id == bindparam("of_tenant"), gauges.c.gauge == bindparam("of_gauge"))
_HOLD = compiled(
    insert(gauges)
    .values(tenant_id=bindparam("tenant_id"), gauge=bindparam("gauge"), level=0, version=0, reported_version=0)
    .on_conflict_do_update(constraint="gauges_pkey", set_={"level": gauges.c.level})
    .returning(gauges.c.level)
)
_LIFT = compiled(
    update(gauges)
    .where(*_OF_TENANT)
    .values(level=gauges.c.level + bindparam("amount"), version=gauges.c.version + bindparam("changes"))
)
_UNREPORTED = compiled(
    select(gauges.c.tenant_id, gauges.c.gauge, gauges.c.level, gauges.c.version)
    .where(
        gauges.c.version > gauges.c.reported_version,
        tuple_(gauges.c.tenant_id, gauges.c.gauge) > tuple_(bindparam("after_tenant"), bindparam("after_gauge")),
    )
    .order_by(gauges.c.tenant_id, gauges.c.gauge)
    .limit(bindparam("count"))
)
_MARK_REPORTED = compiled(
    update(gauges)
    .where(*_OF_TENANT)
    .values(reported_version=func.greatest(gauges.c.reported_version, bindparam("version")))
)
_FIRST = (uuid.UUID(int=0), "")


# Through the tenant's door


async def hold(connection: Connection, tenant_id: TenantId, gauge: str) -> int:
    """Lock the gauge until the transaction ends, and return its level. The first call makes the row."""
    row = await connection.fetch_row(_HOLD, tenant_id=tenant_id, gauge=gauge)
    if row is None:
        raise InternalDatabaseError("a gauge was neither inserted nor found")
    return int(row["level"])


async def lift(connection: Connection, tenant_id: TenantId, gauge: str, amount: int) -> None:
    """Add the amount to a level that is held. An amount of 0 writes the row unchanged."""
    await connection.execute(_LIFT, of_tenant=tenant_id, of_gauge=gauge, amount=amount, changes=int(amount != 0))


async def mark_reported(connection: Connection, reported: GaugeLevel) -> None:
    """Store that tenant_svc knows this version of the level."""
    await connection.execute(
        _MARK_REPORTED, of_tenant=reported.tenant_id, of_gauge=reported.gauge, version=reported.version
    )


# Through the system's door


async def unreported(connection: Connection, after: GaugeLevel | None, count: int) -> list[GaugeLevel]:
    """Return the `count` levels after `after` that tenant_svc may not know, ordered by tenant and gauge."""
    tenant_id, gauge = _FIRST if after is None else (after.tenant_id, after.gauge)
    rows = await connection.fetch(_UNREPORTED, after_tenant=tenant_id, after_gauge=gauge, count=count)
    return [GaugeLevel(TenantId(row["tenant_id"]), row["gauge"], row["level"], row["version"]) for row in rows]
