"""The SQL of reservations, and nothing else. Each group of statements names its door.

Allocations are locked before rows of the ledger, never after: see `tenant_svc.allowances.repository`.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Interval,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState, Item, NewAllocation
from tenantmesh.tenant_svc.allocations.tables import allocation_items, allocations
from tenantmesh.tenant_svc.allowances.repository import LedgerKey, moment_or_now
from tenantmesh.tenant_svc.request_rows import is_of_request, request_parameters

__all__ = [
    "add_items",
    "any_expired",
    "commit_items",
    "create",
    "end_all",
    "lock",
    "lock_expired",
    "made_by",
    "overdue",
    "reserved",
]

_own = allocations.c.tenant_id == bindparam("tenant_id", type_=allocations.c.tenant_id.type)
# A literal: a plan for any value can't use the indexes of reserved rows alone.
_reserved: ColumnElement[bool] = allocations.c.state == literal_column("'RESERVED'", Text)
_overdue = and_(_reserved, allocations.c.expire_time <= moment_or_now())
_row = (
    allocations.c.allocation_id,
    allocations.c.state,
    allocations.c.expire_time,
    allocations.c.create_time,
    allocations.c.digest,
    allocations.c.holder,
    _overdue.label("overdue"),
)
_items = (
    allocation_items.c.feature_id,
    allocation_items.c.period_start,
    allocation_items.c.allocated,
    allocation_items.c.committed,
)
_with_items = select(*_row, *_items).join(
    allocation_items,
    and_(
        allocation_items.c.tenant_id == allocations.c.tenant_id,
        allocation_items.c.allocation_id == allocations.c.allocation_id,
    ),
)
_order = (allocations.c.allocation_id, allocation_items.c.feature_id)

# Through the tenant's door

_new: dict[str, ColumnElement[Any]] = {
    "tenant_id": bindparam("tenant_id", type_=allocations.c.tenant_id.type),
    "allocation_id": bindparam("allocation_id", type_=allocations.c.allocation_id.type),
    "state": literal("RESERVED"),
    "expire_time": moment_or_now() + bindparam("time_to_live", type_=Interval),
    "create_time": moment_or_now(),
    "requester": bindparam("requester", type_=allocations.c.requester.type),
    "request_id": bindparam("request_id", type_=allocations.c.request_id.type),
    "digest": bindparam("digest", type_=allocations.c.digest.type),
    "holder": bindparam("holder", type_=allocations.c.holder.type),
}
_CREATE = compiled(
    insert(allocations)
    .from_select(
        list(_new),
        # The constraint finds the row of the same request by its name; this finds one of before, by its credential.
        select(*(value.label(name) for name, value in _new.items())).where(
            ~exists().where(_own, is_of_request(allocations))
        ),
    )
    .on_conflict_do_nothing(constraint="allocations_request_key")
    .returning(allocations.c.expire_time, allocations.c.create_time)
)
_ADD_ITEM = compiled(
    insert(allocation_items).values(
        tenant_id=bindparam("tenant_id"),
        allocation_id=bindparam("allocation_id"),
        feature_id=bindparam("meter"),
        period_start=bindparam("period"),
        allocated=bindparam("allocated"),
        committed=literal(0),
    )
)
_MADE_BY = compiled(_with_items.where(_own, is_of_request(allocations)).order_by(*_order))
_this = allocations.c.allocation_id == bindparam("allocation_id", type_=allocations.c.allocation_id.type)
_LOCK = compiled(select(*_row).where(_own, _this).with_for_update())
_LOCK_EXPIRED = compiled(
    select(allocations.c.allocation_id)
    .where(_own, _overdue)
    .order_by(allocations.c.allocation_id)
    .limit(bindparam("size", type_=Integer))
    .with_for_update()
)
_these = allocations.c.allocation_id == any_(bindparam("ids", type_=ARRAY(Uuid)))
_READ = compiled(_with_items.where(_own, _these).order_by(*_order))
_RESERVED = compiled(
    select(func.coalesce(func.sum(allocation_items.c.allocated), 0).cast(BigInteger).label("amount"))
    .join(
        allocations,
        and_(
            allocations.c.tenant_id == allocation_items.c.tenant_id,
            allocations.c.allocation_id == allocation_items.c.allocation_id,
        ),
    )
    .where(_own, _reserved)
    .where(allocation_items.c.feature_id == bindparam("meter"), allocation_items.c.period_start == bindparam("period"))
)
_ANY_EXPIRED = compiled(select(allocations.c.allocation_id).where(_own, _overdue).limit(literal(1, Integer)))
_END = compiled(update(allocations).where(_own, _these).values(state=bindparam("new_state")))
_COMMIT_ITEM = compiled(
    update(allocation_items)
    .where(allocation_items.c.tenant_id == bindparam("tenant_id", type_=allocation_items.c.tenant_id.type))
    .where(allocation_items.c.allocation_id == bindparam("id"), allocation_items.c.feature_id == bindparam("meter"))
    .values(committed=bindparam("used"))
)


async def create(
    connection: Connection,
    tenant_id: TenantId,
    allocation_id: uuid.UUID,
    new: NewAllocation,
    key: RequestKey | None,
    holder: str,
    moment: datetime | None,
) -> tuple[datetime, datetime] | None:
    """Store the holder's allocation without items, and return its expiry and creation times; None where the request
    has made one already.

    Waits for a transaction that is making one for the same request.
    """
    row = await connection.fetch_row(
        _CREATE,
        tenant_id=tenant_id,
        allocation_id=allocation_id,
        time_to_live=new.time_to_live,
        **request_parameters(key),
        digest=new.digest,
        holder=holder,
        moment=moment,
    )
    return None if row is None else (row["expire_time"], row["create_time"])


async def add_items(
    connection: Connection, tenant_id: TenantId, allocation_id: uuid.UUID, items: Iterable[Item]
) -> None:
    """Store the allocation's items."""
    rows = [
        {
            "tenant_id": tenant_id,
            "allocation_id": allocation_id,
            "meter": item.meter,
            "period": item.period_start,
            "allocated": item.allocated,
        }
        for item in items
    ]
    await connection.execute_many(_ADD_ITEM, rows)


async def made_by(
    connection: Connection, tenant_id: TenantId, key: RequestKey, moment: datetime | None
) -> tuple[str, Allocation] | None:
    """Return the allocation that the request has made, with the digest of the request's fields; None when it has made
    none."""
    rows = await connection.fetch(_MADE_BY, tenant_id=tenant_id, **request_parameters(key), moment=moment)
    if not rows:
        return None
    _, own = next(groupby(rows, key=lambda row: row["allocation_id"]))
    return rows[0]["digest"], _allocation(list(own))


async def lock(
    connection: Connection, tenant_id: TenantId, allocation_id: uuid.UUID, moment: datetime | None
) -> Allocation | None:
    """Lock and return the allocation; None when it does not exist."""
    row = await connection.fetch_row(_LOCK, tenant_id=tenant_id, allocation_id=allocation_id, moment=moment)
    return None if row is None else (await _read(connection, tenant_id, [allocation_id], moment))[0]


async def lock_expired(
    connection: Connection, tenant_id: TenantId, moment: datetime | None, size: int
) -> list[Allocation]:
    """Lock and return up to `size` reservations that have expired."""
    rows = await connection.fetch(_LOCK_EXPIRED, tenant_id=tenant_id, moment=moment, size=size)
    return await _read(connection, tenant_id, [row["allocation_id"] for row in rows], moment) if rows else []


async def any_expired(connection: Connection, tenant_id: TenantId, moment: datetime | None) -> bool:
    """Return whether the tenant has reservations that have expired and are still open."""
    return await connection.fetch_row(_ANY_EXPIRED, tenant_id=tenant_id, moment=moment) is not None


async def reserved(connection: Connection, tenant_id: TenantId, key: LedgerKey) -> int:
    """Return the units of a meter in a period that open reservations hold.

    The caller has locked the account, as every transaction that reserves does.
    """
    meter, period = key
    (row,) = await connection.fetch(_RESERVED, tenant_id=tenant_id, meter=meter, period=period)
    found: int = row["amount"]
    return found


async def end_all(
    connection: Connection, tenant_id: TenantId, ids: Sequence[uuid.UUID], state: AllocationState
) -> None:
    """Store how the allocations ended. Call this last: repeated requests wait for the transaction from then on."""
    if ids:
        await connection.execute(_END, tenant_id=tenant_id, ids=list(ids), new_state=state.value)


async def commit_items(
    connection: Connection, tenant_id: TenantId, allocation_id: uuid.UUID, used: Mapping[str, int]
) -> None:
    """Store the units charged of each meter."""
    rows = [
        {"tenant_id": tenant_id, "id": allocation_id, "meter": meter, "used": amount} for meter, amount in used.items()
    ]
    await connection.execute_many(_COMMIT_ITEM, rows)


async def _read(
    connection: Connection, tenant_id: TenantId, ids: Sequence[uuid.UUID], moment: datetime | None
) -> list[Allocation]:
    rows = await connection.fetch(_READ, tenant_id=tenant_id, ids=list(ids), moment=moment)
    return [_allocation(list(own)) for _, own in groupby(rows, key=lambda row: row["allocation_id"])]


def _allocation(rows: Sequence[Record]) -> Allocation:
    """Return one allocation from its rows, one per item."""
    first = rows[0]
    items = (Item(row["feature_id"], row["period_start"], row["allocated"], row["committed"]) for row in rows)
    return Allocation(
        first["allocation_id"],
        AllocationState(first["state"]),
        tuple(items),
        first["expire_time"],
        first["create_time"],
        first["overdue"],
        first["holder"],
    )


# Through the system door, across tenants

_OVERDUE = compiled(
    select(allocations.c.tenant_id)
    .where(_overdue)
    .group_by(allocations.c.tenant_id)
    .order_by(func.min(allocations.c.expire_time))
    .limit(bindparam("size", type_=Integer))
)


async def overdue(connection: Connection, moment: datetime | None, size: int) -> list[TenantId]:
    """Return up to `size` tenants with expired reservations, longest overdue first."""
    return [TenantId(row["tenant_id"]) for row in await connection.fetch(_OVERDUE, moment=moment, size=size)]
