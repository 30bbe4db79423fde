"""The SQL of the tenants' tokens, and nothing else. All of it goes through the tenant's door."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ScalarSelect, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, compiled
from tenantmesh.tenant_svc.domain_proofs.tables import domain_tokens

__all__ = ["TOKEN", "clock", "keep_token"]

_own = domain_tokens.c.tenant_id == bindparam("tenant_id", type_=domain_tokens.c.tenant_id.type)
TOKEN: ScalarSelect[str] = select(domain_tokens.c.token).where(_own).scalar_subquery()
"""The token of the statement's tenant."""
_KEEP = compiled(
    insert(domain_tokens).values(tenant_id=bindparam("tenant_id"), token=bindparam("token")).on_conflict_do_nothing()
)
_CLOCK = compiled(select(func.statement_timestamp().label("now")))


async def keep_token(connection: Connection, tenant_id: TenantId, token: str) -> None:
    """Store the tenant's token, unless it has one."""
    await connection.execute(_KEEP, tenant_id=tenant_id, token=token)


async def clock(connection: Connection) -> datetime:
    """Return the database's time."""
    row = await connection.fetch_row(_CLOCK)
    if row is None:
        raise LookupError("the database has no time")
    now: datetime = row["now"]
    return now
