"""The SQL of sessions. Every function needs the tenant's door, which the use case opens."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode, b64encode
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update

from tenantmesh.auth_svc.accounts.repository import user_of
from tenantmesh.auth_svc.accounts.tables import users
from tenantmesh.auth_svc.accounts.user import User
from tenantmesh.auth_svc.sessions.session import Session, SpentToken
from tenantmesh.auth_svc.sessions.tables import sessions
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled

__all__ = ["add", "by_id", "delete_ended", "hold", "save"]

_THIS = and_(sessions.c.tenant_id == bindparam("of_tenant"), sessions.c.session_id == bindparam("of_session"))
_ADD = compiled(insert(sessions))
_DELETE_ENDED = compiled(
    delete(sessions).where(
        sessions.c.tenant_id == bindparam("of_tenant"),
        sessions.c.user_id == bindparam("of_user"),
        or_(sessions.c.expire_time <= bindparam("now"), sessions.c.use_time <= bindparam("idle_since")),
    )
)
_BY_ID = compiled(select(sessions).where(_THIS))
_HOLD = compiled(
    select(sessions, users.c.email, users.c.display_name, users.c.roles, users.c.epoch, users.c.create_time)
    .join_from(sessions, users, and_(users.c.tenant_id == sessions.c.tenant_id, users.c.user_id == sessions.c.user_id))
    .where(_THIS)
    .with_for_update(of=sessions)
)
_SAVE = compiled(
    update(sessions)
    .where(_THIS)
    .values(
        token_hash=bindparam("new_token_hash"),
        spent=bindparam("new_spent"),
        use_time=bindparam("new_use_time"),
        revoke_time=bindparam("new_revoke_time"),
        revoke_reason=bindparam("new_revoke_reason"),
    )
)


async def add(connection: Connection, session: Session) -> None:
    """Store the session."""
    await connection.execute(
        _ADD,
        tenant_id=session.tenant_id,
        session_id=session.id,
        user_id=session.user_id,
        token_hash=session.digest,
        spent=_spent_json(session.spent),
        begin_time=session.begin_time,
        use_time=session.use_time,
        expire_time=session.expire_time,
        revoke_time=session.revoke_time,
        revoke_reason=session.revoke_reason,
    )


async def delete_ended(connection: Connection, user: User, now: datetime, idle_since: datetime) -> None:
    """Delete the user's sessions that have expired, or were last used at `idle_since` or before."""
    await connection.execute(_DELETE_ENDED, of_tenant=user.tenant_id, of_user=user.id, now=now, idle_since=idle_since)


async def by_id(connection: Connection, tenant_id: TenantId, session_id: uuid.UUID) -> Session | None:
    """Return the session with this id, or None."""
    row = await connection.fetch_row(_BY_ID, of_tenant=tenant_id, of_session=session_id)
    return None if row is None else _session_of(row)


async def hold(connection: Connection, tenant_id: TenantId, session_id: uuid.UUID) -> tuple[Session, User] | None:
    """Lock the session until the transaction ends, and return it with its user, or None."""
    row = await connection.fetch_row(_HOLD, of_tenant=tenant_id, of_session=session_id)
    return None if row is None else (_session_of(row), user_of(row))


async def save(connection: Connection, session: Session) -> None:
    """Store what changes in the life of a session that is held."""
    await connection.execute(
        _SAVE,
        of_tenant=session.tenant_id,
        of_session=session.id,
        new_token_hash=session.digest,
        new_spent=_spent_json(session.spent),
        new_use_time=session.use_time,
        new_revoke_time=session.revoke_time,
        new_revoke_reason=session.revoke_reason,
    )


def _session_of(row: Record) -> Session:
    return Session(
        id=row["session_id"],
        tenant_id=TenantId(row["tenant_id"]),
        user_id=row["user_id"],
        digest=row["token_hash"],
        begin_time=row["begin_time"],
        use_time=row["use_time"],
        expire_time=row["expire_time"],
        spent=tuple(map(_spent_token, json.loads(row["spent"]))),
        revoke_time=row["revoke_time"],
        revoke_reason=row["revoke_reason"],
    )


def _spent_json(spent: tuple[SpentToken, ...]) -> list[dict[str, str]]:
    return [
        {
            "digest": b64encode(token.digest).decode("ascii"),
            "use_time": token.use_time.isoformat(),
            "successor": b64encode(token.sealed_successor).decode("ascii"),
        }
        for token in spent
    ]


def _spent_token(entry: dict[str, Any]) -> SpentToken:
    return SpentToken(
        digest=b64decode(entry["digest"]),
        use_time=datetime.fromisoformat(entry["use_time"]),
        sealed_successor=b64decode(entry["successor"]),
    )
