"""The SQL that counts a tenant's credentials. The tenant's door, or that of the role that purges, opens it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Interval, bindparam, func, select

from tenantmesh.auth_svc.accounts.tables import users
from tenantmesh.auth_svc.sessions.tables import sessions
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, InternalDatabaseError, compiled

__all__ = ["credentials"]

_live = (
    select(func.count())
    .select_from(sessions)
    .where(
        sessions.c.tenant_id == bindparam("tenant_id"),
        sessions.c.revoke_time.is_(None),
        sessions.c.expire_time > func.now(),
        sessions.c.use_time > func.now() - bindparam("idle", type_=Interval),
    )
    .scalar_subquery()
)
_with_password = (
    select(func.count())
    .select_from(users)
    .where(users.c.tenant_id == bindparam("tenant_id"), users.c.password_hash != "")
    .scalar_subquery()
)
_CREDENTIALS = compiled(select(_live.label("sessions"), _with_password.label("passwords")))


async def credentials(connection: Connection, tenant_id: TenantId, idle: timedelta) -> tuple[int, int]:
    """Return the number of sessions that have not ended, and of users with a password."""
    row = await connection.fetch_row(_CREDENTIALS, tenant_id=tenant_id, idle=idle)
    if row is None:
        raise InternalDatabaseError("a count returned no row")
    return int(row["sessions"]), int(row["passwords"])
