"""Levels in the database."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import bindparam, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.auth_svc.gauges.gauge import Level
from tenantmesh.auth_svc.gauges.tables import GAUGES
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, InternalDatabaseError, compiled

__all__ = ["GaugeRepository", "hold", "lift"]

_OF_TENANT = (GAUGES.c.tenant_id == bindparam("of_tenant"), GAUGES.c.gauge == bindparam("of_gauge"))
_HOLD = compiled(
    insert(GAUGES)
    .values(tenant_id=bindparam("tenant_id"), gauge=bindparam("gauge"), level=0, version=0, reported_version=0)
    .on_conflict_do_update(constraint="gauges_pkey", set_={"level": GAUGES.c.level})
    .returning(GAUGES.c.level)
)
_LIFT = compiled(
    update(GAUGES)
    .where(*_OF_TENANT)
    .values(level=GAUGES.c.level + bindparam("amount"), version=GAUGES.c.version + bindparam("changes"))
)
_UNREPORTED = compiled(
    select(GAUGES.c.tenant_id, GAUGES.c.gauge, GAUGES.c.level, GAUGES.c.version)
    .where(
        GAUGES.c.version > GAUGES.c.reported_version,
        tuple_(GAUGES.c.tenant_id, GAUGES.c.gauge) > tuple_(bindparam("after_tenant"), bindparam("after_gauge")),
    )
    .order_by(GAUGES.c.tenant_id, GAUGES.c.gauge)
    .limit(bindparam("count"))
)
_REPORTED = compiled(
    update(GAUGES)
    .where(*_OF_TENANT)
    .values(reported_version=func.greatest(GAUGES.c.reported_version, bindparam("version_told")))
)
_FIRST = (uuid.UUID(int=0), "")


async def hold(connection: Connection, tenant_id: TenantId, gauge: str) -> int:
    """The level, which nobody else changes until this tenant's transaction ends."""
    row = await connection.fetch_row(_HOLD, tenant_id=tenant_id, gauge=gauge)
    if row is None:
        raise InternalDatabaseError("a level was neither made nor found")
    return int(row["level"])


async def lift(connection: Connection, tenant_id: TenantId, gauge: str, amount: int) -> None:
    """Changes a level that is held. By nothing, too: then the row is written as it was."""
    await connection.execute(_LIFT, of_tenant=tenant_id, of_gauge=gauge, amount=amount, changes=int(amount != 0))


class GaugeRepository:
    """As LevelStore."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    async def unreported(self, after: Level | None, count: int) -> Sequence[Level]:
        """Levels that tenant_svc may not know yet, in order."""
        tenant_id, gauge = _FIRST if after is None else (after.tenant_id, after.gauge)
        async with self._doors.system("levels of any tenant may be unreported", read_only=True) as connection:
            rows = await connection.fetch(_UNREPORTED, after_tenant=tenant_id, after_gauge=gauge, count=count)
        return [Level(TenantId(row["tenant_id"]), row["gauge"], row["level"], row["version"]) for row in rows]

    async def reported(self, told: Level) -> None:
        """Remembers that tenant_svc knows the level."""
        async with self._doors.tenant(told.tenant_id) as connection:
            await connection.execute(
                _REPORTED, of_tenant=told.tenant_id, of_gauge=told.gauge, version_told=told.version
            )
