"""The SQL of the log of tenants' events, across tenants: all of it goes through the system door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import (
    Integer,
    Interval,
    Select,
    Text,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)

from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.tenants.rows import FIELDS
from tenantmesh.tenant_svc.tenants.tables import event_horizon, tenant_events, tenant_tombstones

__all__ = ["delete_through", "events_after", "head", "horizon", "last_older_than", "move_horizon"]

_row = (tenant_events.c.tenant_id, *(tenant_events.c[name] for name in FIELDS))
_horizon = select(event_horizon.c.pruned_through).scalar_subquery()
_last_position = select(func.max(tenant_events.c.position)).scalar_subquery()
_HORIZON = compiled(select(_horizon.label("position")))
_last_tombstone = select(func.max(tenant_tombstones.c.position)).scalar_subquery()
# greatest() skips NULL. A purge removes events at the end of the log: its own event, the tombstone, stays behind them.
_HEAD = compiled(select(func.greatest(_last_position, _last_tombstone, _horizon).label("position")))


def _first(events: Select[Any]) -> Select[Any]:
    """Return the first `size` events after the position. Each part of the log has its own limit, so that neither is
    read to its end."""
    position = events.selected_columns.position
    first = events.where(position > bindparam("after")).order_by(position).limit(bindparam("size", type_=Integer))
    return select(first.subquery())


# Of a tenant that was purged, the log has its id and the time of the purge.
_times = ("create_time", "update_time")
_stored = select(tenant_events.c.position, tenant_events.c.type, tenant_events.c.name_change, *_row)
_purged = select(
    tenant_tombstones.c.position,
    literal_column("'PURGED'", Text).label("type"),
    cast(null(), tenant_events.c.name_change.type).label("name_change"),
    tenant_tombstones.c.tenant_id,
    *(
        tenant_tombstones.c.purge_time.label(name)
        if name in _times
        else cast(null(), tenant_events.c[name].type).label(name)
        for name in FIELDS
    ),
)
# One statement: two would see two moments, and an event could fall between them.
_both = union_all(_first(_stored), _first(_purged))
_EVENTS_AFTER = compiled(_both.order_by(_both.selected_columns.position).limit(bindparam("size", type_=Integer)))
_time = func.coalesce(tenant_events.c.event_time, tenant_events.c.update_time).label("time")
_oldest = select(tenant_events.c.position, _time).order_by(tenant_events.c.position)
_window = _oldest.limit(bindparam("size", type_=Integer)).subquery()
_LAST_OLDER = compiled(
    select(func.max(_window.c.position).label("position")).where(
        _window.c.time < func.now() - bindparam("keep", type_=Interval)
    )
)
_MOVE_HORIZON = compiled(update(event_horizon).values(pruned_through=bindparam("through")))
_DELETE_THROUGH = compiled(delete(tenant_events).where(tenant_events.c.position <= bindparam("through")))


async def head(connection: Connection) -> int:
    """Return the position of the last event, 0 before the first."""
    return _position(await connection.fetch_row(_HEAD)) or 0


async def horizon(connection: Connection) -> int:
    """Return the position of the last event that was deleted, 0 when none was."""
    return _position(await connection.fetch_row(_HORIZON)) or 0


async def events_after(connection: Connection, after: int, size: int) -> list[Record]:
    """Return the events after the position, oldest first. Each row also holds the tenant's state after the event."""
    return await connection.fetch(_EVENTS_AFTER, after=after, size=size)


async def last_older_than(connection: Connection, keep: timedelta, size: int) -> int | None:
    """Return the position of the last event older than `keep`, among the first `size` of the log; None without one."""
    return _position(await connection.fetch_row(_LAST_OLDER, keep=keep, size=size))


async def move_horizon(connection: Connection, through: int) -> None:
    """Store that the events up to the position are no longer kept."""
    await connection.execute(_MOVE_HORIZON, through=through)


async def delete_through(connection: Connection, through: int) -> int:
    """Delete the events up to the position and return how many."""
    return await connection.execute(_DELETE_THROUGH, through=through)


def _position(row: Record | None) -> int | None:
    position = None if row is None else row["position"]
    return None if position is None else int(position)
