"""The SQL of leased units by holder, and nothing else. All of it goes through the tenant's door.

The caller has locked the ledger's row of the meter and period, which is the lock of these rows too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ARRAY, Text, any_, bindparam, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, compiled
from tenantmesh.tenant_svc.allowances.holder import SHARED, Leased, LeaseHolder
from tenantmesh.tenant_svc.allowances.repository import LedgerKey
from tenantmesh.tenant_svc.balances.tables import leases

__all__ = ["book", "leased", "unbook"]

_new = insert(leases).values(
    tenant_id=bindparam("tenant_id"),
    feature_id=bindparam("meter"),
    period_start=bindparam("period"),
    holder=bindparam("holder"),
    account=bindparam("account"),
    amount=bindparam("amount"),
)
_BOOK = compiled(
    _new.on_conflict_do_update(
        index_elements=list(leases.primary_key.columns), set_={"amount": leases.c.amount + _new.excluded.amount}
    )
)
_of_row = (
    leases.c.tenant_id == bindparam("tenant_id", type_=leases.c.tenant_id.type),
    leases.c.feature_id == bindparam("meter", type_=leases.c.feature_id.type),
    leases.c.period_start == bindparam("period", type_=leases.c.period_start.type),
)
_LEASED = compiled(
    select(leases.c.holder, leases.c.account, leases.c.amount).where(
        *_of_row,
        leases.c.account == any_(bindparam("accounts", type_=ARRAY(Text))),
        # A secret account is proof enough. The one of a name belongs to the name.
        or_(leases.c.account != SHARED, leases.c.holder == bindparam("name", type_=leases.c.holder.type)),
    )
)
_this = (
    *_of_row,
    leases.c.holder == bindparam("of_holder", type_=leases.c.holder.type),
    leases.c.account == bindparam("of_account", type_=leases.c.account.type),
)
_back = bindparam("back", type_=leases.c.amount.type)
_LESS = compiled(update(leases).where(*_this, leases.c.amount > _back).values(amount=leases.c.amount - _back))
_NONE_LEFT = compiled(delete(leases).where(*_this, leases.c.amount <= _back))


async def book(
    connection: Connection, tenant_id: TenantId, holder: LeaseHolder, units: Iterable[tuple[str, datetime, int]]
) -> None:
    """Add leased units, by meter and period, to those of the holder's first account."""
    rows = [
        {
            "tenant_id": tenant_id,
            "meter": meter,
            "period": period,
            "holder": holder.name,
            "account": holder.accounts[0],
            "amount": amount,
        }
        for meter, period, amount in units
    ]
    if rows:
        await connection.execute_many(_BOOK, rows)


async def leased(connection: Connection, tenant_id: TenantId, key: LedgerKey, holder: LeaseHolder) -> list[Leased]:
    """Return what is out under the holder's accounts."""
    meter, period = key
    rows = await connection.fetch(
        _LEASED, tenant_id=tenant_id, meter=meter, period=period, accounts=list(holder.accounts), name=holder.name
    )
    return [Leased(row["holder"], row["account"], row["amount"]) for row in rows]


async def unbook(connection: Connection, tenant_id: TenantId, key: LedgerKey, parts: Iterable[Leased]) -> None:
    """Take returned units off what is out. A row without units is deleted."""
    meter, period = key
    rows = [
        {
            "tenant_id": tenant_id,
            "meter": meter,
            "period": period,
            "of_holder": part.holder,
            "of_account": part.account,
            "back": part.amount,
        }
        for part in parts
    ]
    await connection.execute_many(_NONE_LEFT, rows)
    await connection.execute_many(_LESS, rows)
