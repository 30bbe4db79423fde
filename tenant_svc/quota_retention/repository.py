"""The SQL of deleting old reservations and old periods, and nothing else. All of it goes through the system door,
across tenants, in batches."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import (
    ColumnElement,
    Integer,
    Interval,
    Uuid,
    bindparam,
    column,
    delete,
    exists,
    func,
    literal_column,
    select,
    tuple_,
)

from tenantmesh.runtime.database import Connection, batch_of, compiled, in_batch
from tenantmesh.tenant_svc.allocations.tables import allocation_items, allocations
from tenantmesh.tenant_svc.balances.tables import grant_burns, grants, ledger

__all__ = ["forget_allocations", "forget_burns", "forget_rows"]

_before = func.now() - bindparam("keep", type_=Interval)
_size = bindparam("size", type_=Integer)
_RESERVED: ColumnElement[str] = literal_column(
    "'RESERVED'"
)  # a literal, since a bound value would not use the partial indexes

_closed = (
    select(allocations.c.tenant_id, allocations.c.allocation_id)
    .where(allocations.c.state != _RESERVED, allocations.c.expire_time < _before)
    .order_by(allocations.c.expire_time)
    .limit(_size)
    .cte("closed")
)
# As arrays, as in `runtime.database.batches`: the planner then looks each up, however many it expects.
_ids = (
    func.unnest(
        *(func.array(select(column).scalar_subquery()) for column in (_closed.c.tenant_id, _closed.c.allocation_id))
    )
    .table_valued(column("tenant_id", Uuid), column("allocation_id", Uuid), name="ids")
    .render_derived()
)
_items_of_closed = (
    delete(allocation_items)
    .where(tuple_(allocation_items.c.tenant_id, allocation_items.c.allocation_id).in_(select(_ids)))
    .cte("items_of_closed")
)
_FORGET_ALLOCATIONS = compiled(
    delete(allocations)
    .where(tuple_(allocations.c.tenant_id, allocations.c.allocation_id).in_(select(_ids)))
    .add_cte(_items_of_closed)
)

# Reserved units may return to their row, and through the burns of its period to grants.
_reserved = exists().where(
    allocations.c.state == _RESERVED,
    allocation_items.c.tenant_id == allocations.c.tenant_id,
    allocation_items.c.allocation_id == allocations.c.allocation_id,
    allocation_items.c.tenant_id == ledger.c.tenant_id,
    allocation_items.c.feature_id == ledger.c.feature_id,
    allocation_items.c.period_start == ledger.c.period_start,
)
_old_rows = (
    batch_of(ledger).where(ledger.c.period_start < _before, ~_reserved).order_by(ledger.c.period_start).limit(_size)
)
_FORGET_ROWS = compiled(delete(ledger).where(in_batch(ledger, _old_rows)))
_its_row = exists().where(
    grants.c.tenant_id == grant_burns.c.tenant_id,
    grants.c.grant_id == grant_burns.c.grant_id,
    ledger.c.tenant_id == grants.c.tenant_id,
    ledger.c.feature_id == grants.c.feature_id,
    ledger.c.period_start == grant_burns.c.period_start,
)
_old_burns = (
    batch_of(grant_burns)
    .where(grant_burns.c.period_start < _before, ~_its_row)
    .order_by(grant_burns.c.period_start)
    .limit(_size)
)
_FORGET_BURNS = compiled(delete(grant_burns).where(in_batch(grant_burns, _old_burns)))


async def forget_allocations(connection: Connection, keep: timedelta, size: int) -> int:
    """Delete up to `size` allocations that have ended and expired more than `keep` ago, and return how many."""
    return await connection.execute(_FORGET_ALLOCATIONS, keep=keep, size=size)


async def forget_rows(connection: Connection, keep: timedelta, size: int) -> int:
    """Delete up to `size` rows of the ledger whose period began more than `keep` ago, and return how many. Rows with
    open reservations stay."""
    return await connection.execute(_FORGET_ROWS, keep=keep, size=size)


async def forget_burns(connection: Connection, keep: timedelta, size: int) -> int:
    """Delete up to `size` burns of periods that began more than `keep` ago and have no row in the ledger. Return how
    many."""
    return await connection.execute(_FORGET_BURNS, keep=keep, size=size)
