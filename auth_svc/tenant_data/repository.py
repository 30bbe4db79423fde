"""The SQL of a purge: a tenant's credentials counted, its rows kept out, and the writers that were there before. Each
function says which door it needs; the use case opens it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Interval, Text, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from tenantmesh.auth_svc.accounts.tables import users
from tenantmesh.auth_svc.schema import SCHEMA
from tenantmesh.auth_svc.sessions.tables import sessions
from tenantmesh.auth_svc.tenant_data.tables import purged_tenants
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, InternalDatabaseError, compiled

__all__ = ["credentials", "fence", "writers"]

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
_FENCE = compiled(
    upsert(purged_tenants)
    .values(tenant_id=bindparam("tenant_id"), purge_time=func.statement_timestamp())
    .on_conflict_do_nothing()
)
# A writer to a table holds this lock until its transaction ends. A statement has it before it takes the snapshot
# in which it looks for the fence.
_WRITERS = compiled(
    text(
        """
        SELECT DISTINCT held.virtualtransaction AS writer
        FROM pg_catalog.pg_locks AS held
        JOIN pg_catalog.pg_class AS c ON c.oid = held.relation
        WHERE held.locktype = 'relation' AND held.granted AND held.mode = 'RowExclusiveLock'
          AND held.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
          AND c.relnamespace = CAST(CAST(:schema AS text) AS regnamespace) AND held.pid <> pg_catalog.pg_backend_pid()
        """
    ).bindparams(bindparam("schema", type_=Text))
)


# Through the tenant's door, or that of the role that purges


async def credentials(connection: Connection, tenant_id: TenantId, idle: timedelta) -> tuple[int, int]:
    """Return the number of sessions that have not ended, and of users with a password."""
    row = await connection.fetch_row(_CREDENTIALS, tenant_id=tenant_id, idle=idle)
    if row is None:
        raise InternalDatabaseError("a count returned no row")
    return int(row["sessions"]), int(row["passwords"])


# Through the system's door


async def fence(connection: Connection, tenant_id: TenantId) -> None:
    """Store that the tenant is being purged: from this transaction's end on, no statement adds a row of it."""
    await connection.execute(_FENCE, tenant_id=tenant_id)


async def writers(connection: Connection) -> set[str]:
    """Return the transactions under way that have written to a table of this schema, of any tenant."""
    return {row["writer"] for row in await connection.fetch(_WRITERS, schema=SCHEMA)}
