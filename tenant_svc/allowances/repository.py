"""The SQL of the ledger and of the use of grants, and nothing else. All of it goes through the tenant's door.

Rows are locked in one order everywhere, so that no two transactions wait for each other: allocations by id, ledger rows
by meter and period, grants by id. `moment` is the time, for tests; None is the database's clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Interval, Text, and_, any_, bindparam, cast, func, literal, select, update
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.balances.account import Account, Burn
from tenantmesh.tenant_svc.balances.grant import Grant
from tenantmesh.tenant_svc.balances.repository import GRANT, grant_of
from tenantmesh.tenant_svc.balances.tables import grant_burns, grants, ledger
from tenantmesh.tenant_svc.features.tables import features

__all__ = [
    "LedgerKey",
    "has_meter",
    "lock_accounts",
    "lock_burns",
    "lock_grants",
    "lock_rows",
    "moment_or_now",
    "open_accounts",
    "unburn",
    "write_rows",
    "write_taken",
]

LedgerKey = tuple[str, datetime]
"""A meter and the start of a period."""

_Time = TIMESTAMP(timezone=True)


def moment_or_now() -> ColumnElement[datetime]:
    """Return the parameter `moment`, or when this transaction began by the database's clock."""
    return func.coalesce(bindparam("moment", type_=_Time), func.now())


def _in_utc(moment: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """Return an instant as UTC's calendar time, or calendar time of UTC as an instant: intervals of days need a
    calendar."""
    return func.timezone(literal("UTC"), moment, type_=_Time)


_start = func.date_trunc(func.lower(features.c.period), moment_or_now(), literal("UTC"), type_=_Time)
_length = cast(literal("1 ").concat(func.lower(features.c.period)), Interval)
_periods = (
    select(
        features.c.feature_id,
        moment_or_now().label("moment"),
        _start.label("period_start"),
        _in_utc(_in_utc(_start) + _length).label("period_end"),
    )
    .where(features.c.feature_id == any_(bindparam("meters", type_=ARRAY(Text))), features.c.type == literal("METERED"))
    .cte("periods")
)
_own_row = ledger.c.tenant_id == bindparam("tenant_id", type_=ledger.c.tenant_id.type)
_locked = (
    select(ledger.c.feature_id, ledger.c.given, ledger.c.from_plan)
    .join(
        _periods, and_(ledger.c.feature_id == _periods.c.feature_id, ledger.c.period_start == _periods.c.period_start)
    )
    .where(_own_row)
    .order_by(ledger.c.feature_id)
    .with_for_update(of=ledger)
    .cte("locked")
)
_LOCK_ACCOUNTS = compiled(
    select(_periods, _locked.c.given, _locked.c.from_plan).outerjoin(
        _locked, _locked.c.feature_id == _periods.c.feature_id
    )
)
_OPEN_ACCOUNTS = compiled(
    upsert(ledger)
    .from_select(
        ["tenant_id", "feature_id", "period_start", "given", "from_plan", "update_time"],
        select(
            bindparam("tenant_id", type_=ledger.c.tenant_id.type),
            _periods.c.feature_id,
            _periods.c.period_start,
            literal(0),
            literal(0),
            func.now(),
        ).order_by(_periods.c.feature_id),
    )
    .on_conflict_do_nothing()
)
_own_grants = grants.c.tenant_id == bindparam("tenant_id", type_=grants.c.tenant_id.type)
_LOCK_GRANTS = compiled(
    select(*GRANT)
    .where(_own_grants, grants.c.feature_id == any_(bindparam("meters", type_=ARRAY(Text))))
    .where(grants.c.void_time.is_(None), grants.c.expire_time.is_(None) | (grants.c.expire_time > moment_or_now()))
    .order_by(grants.c.grant_id)
    .with_for_update()
)
_keys = (
    func.unnest(bindparam("meters", type_=ARRAY(Text)), bindparam("periods", type_=ARRAY(_Time)))
    .table_valued("feature_id", "period_start")
    .render_derived(name="keys")
)
_LOCK_ROWS = compiled(
    select(ledger.c.feature_id, ledger.c.period_start, ledger.c.given, ledger.c.from_plan)
    .join(_keys, and_(ledger.c.feature_id == _keys.c.feature_id, ledger.c.period_start == _keys.c.period_start))
    .where(_own_row)
    .order_by(ledger.c.feature_id, ledger.c.period_start)
    .with_for_update(of=ledger)
)
_LOCK_BURNS = compiled(
    select(grant_burns.c.period_start, grant_burns.c.amount.label("burnt"), *GRANT)
    .join(grants, and_(grants.c.tenant_id == grant_burns.c.tenant_id, grants.c.grant_id == grant_burns.c.grant_id))
    .join(_keys, and_(grants.c.feature_id == _keys.c.feature_id, grant_burns.c.period_start == _keys.c.period_start))
    .where(grant_burns.c.tenant_id == bindparam("tenant_id", type_=grant_burns.c.tenant_id.type))
    .order_by(grants.c.grant_id, grant_burns.c.period_start)
    .with_for_update(of=grants)
)
_HAS_METER = compiled(
    select(features.c.feature_id).where(
        features.c.feature_id == bindparam("meter"), features.c.type == literal("METERED")
    )
)
_WRITE_ROW = compiled(
    update(ledger)
    .where(_own_row)
    .where(ledger.c.feature_id == bindparam("meter"), ledger.c.period_start == bindparam("period"))
    .values(given=bindparam("new_given"), from_plan=bindparam("new_from_plan"), update_time=func.now())
)
_SET_BALANCE = compiled(
    update(grants)
    .where(_own_grants, grants.c.grant_id == bindparam("id"))
    .values(balance=bindparam("new_balance"), balance_period=bindparam("period"))
)
_burn = upsert(grant_burns).values(
    tenant_id=bindparam("tenant_id"),
    grant_id=bindparam("grant_id"),
    period_start=bindparam("period_start"),
    amount=bindparam("amount"),
)
_BURN = compiled(
    _burn.on_conflict_do_update(
        index_elements=[grant_burns.c.tenant_id, grant_burns.c.grant_id, grant_burns.c.period_start],
        set_={"amount": grant_burns.c.amount + _burn.excluded.amount},
    )
)
_UNBURN = compiled(
    update(grant_burns)
    .where(grant_burns.c.tenant_id == bindparam("tenant_id", type_=grant_burns.c.tenant_id.type))
    .where(grant_burns.c.grant_id == bindparam("id"), grant_burns.c.period_start == bindparam("period"))
    .values(amount=grant_burns.c.amount - bindparam("back"))
)
# A grant that has moved to a later period keeps its rolled-over balance; the return then only corrects history.
_REFILL = compiled(
    update(grants)
    .where(_own_grants, grants.c.grant_id == bindparam("id"), grants.c.balance_period == bindparam("period"))
    .values(balance=grants.c.balance + bindparam("back"))
)


@dataclass(frozen=True, slots=True)
class Burnt:
    """The amount that a grant gave in a period."""

    grant: Grant
    period_start: datetime
    amount: int


async def lock_accounts(
    connection: Connection, tenant_id: TenantId, meters: Iterable[str], moment: datetime | None
) -> dict[str, Record]:
    """Lock the current accounts of those meters that are METERED features, and return their rows by meter.

    Where an account is not open yet, `given` is None and nothing is locked.
    """
    rows = await connection.fetch(_LOCK_ACCOUNTS, tenant_id=tenant_id, meters=list(meters), moment=moment)
    return {row["feature_id"]: row for row in rows}


async def open_accounts(
    connection: Connection, tenant_id: TenantId, meters: Iterable[str], moment: datetime | None
) -> None:
    """Open the accounts of the current periods. Call this in a transaction that has locked no row of the ledger."""
    await connection.execute(_OPEN_ACCOUNTS, tenant_id=tenant_id, meters=list(meters), moment=moment)


async def lock_grants(
    connection: Connection, tenant_id: TenantId, meters: Iterable[str], moment: datetime | None
) -> list[Grant]:
    """Lock and return the meters' grants that are neither void nor expired. The caller has locked the accounts."""
    rows = await connection.fetch(_LOCK_GRANTS, tenant_id=tenant_id, meters=list(meters), moment=moment)
    return [grant_of(row) for row in rows]


async def write_taken(
    connection: Connection, tenant_id: TenantId, accounts: Iterable[tuple[Account, list[Burn]]]
) -> None:
    """Store accounts from which units were taken, with the amounts used of grants."""
    changed = list(accounts)
    await write_rows(
        connection,
        tenant_id,
        [(account.meter, account.period_start, account.given, account.from_plan) for account, _ in changed],
    )
    burns = [(burn, account.period_start) for account, burnt in changed for burn in burnt]
    if not burns:
        return
    balances = [
        {"tenant_id": tenant_id, "id": burn.grant_id, "new_balance": burn.balance, "period": burn.balance_period}
        for burn, _ in burns
    ]
    await connection.execute_many(_SET_BALANCE, balances)
    amounts = [
        {"tenant_id": tenant_id, "grant_id": burn.grant_id, "period_start": period, "amount": burn.amount}
        for burn, period in burns
    ]
    await connection.execute_many(_BURN, amounts)


async def write_rows(
    connection: Connection, tenant_id: TenantId, rows: Iterable[tuple[str, datetime, int, int]]
) -> None:
    """Store the units that stay given out, in total and from the allowance, by meter and period."""
    values = [
        {"tenant_id": tenant_id, "meter": meter, "period": period, "new_given": given, "new_from_plan": from_plan}
        for meter, period, given, from_plan in rows
    ]
    await connection.execute_many(_WRITE_ROW, values)


async def lock_rows(connection: Connection, tenant_id: TenantId, keys: Sequence[LedgerKey]) -> dict[LedgerKey, Record]:
    """Lock and return the rows of the keys that exist."""
    rows = await connection.fetch(_LOCK_ROWS, tenant_id=tenant_id, **_columns(keys))
    return {(row["feature_id"], row["period_start"]): row for row in rows}


async def lock_burns(connection: Connection, tenant_id: TenantId, keys: Sequence[LedgerKey]) -> list[Burnt]:
    """Lock the grants of these accounts and return the amounts that they gave. The caller has locked the accounts."""
    rows = await connection.fetch(_LOCK_BURNS, tenant_id=tenant_id, **_columns(keys))
    return [Burnt(grant_of(row), row["period_start"], row["burnt"]) for row in rows]


async def unburn(
    connection: Connection, tenant_id: TenantId, returns: Iterable[tuple[uuid.UUID, datetime, int]]
) -> None:
    """Return amounts to grants, each in the period in which the grant gave it."""
    values = [
        {"tenant_id": tenant_id, "id": grant_id, "period": period, "back": back} for grant_id, period, back in returns
    ]
    await connection.execute_many(_UNBURN, values)
    await connection.execute_many(_REFILL, values)


async def has_meter(connection: Connection, meter: str) -> bool:
    """Return whether the catalog has a METERED feature of that id."""
    return await connection.fetch_row(_HAS_METER, meter=meter) is not None


def _columns(keys: Sequence[LedgerKey]) -> dict[str, list[object]]:
    return {"meters": [meter for meter, _ in keys], "periods": [period for _, period in keys]}
