"""Sessions in the database."""

from __future__ import annotations

import json
import uuid
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update

from tenantmesh.auth_svc.accounts.repository import user_of
from tenantmesh.auth_svc.accounts.tables import USERS
from tenantmesh.auth_svc.sessions.session import Limits, Session, Spent
from tenantmesh.auth_svc.sessions.tables import SESSIONS
from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled

__all__ = ["HeldRow", "SessionRepository"]

_THIS = and_(SESSIONS.c.tenant_id == bindparam("of_tenant"), SESSIONS.c.session_id == bindparam("of_session"))
_ADD = compiled(insert(SESSIONS))
_FORGET = compiled(
    delete(SESSIONS).where(
        SESSIONS.c.tenant_id == bindparam("of_tenant"),
        SESSIONS.c.user_id == bindparam("of_user"),
        or_(SESSIONS.c.expire_time <= bindparam("now"), SESSIONS.c.use_time <= bindparam("idle_since")),
    )
)
_ONE = compiled(select(SESSIONS).where(_THIS))
_HOLD = compiled(
    select(SESSIONS, USERS.c.email, USERS.c.display_name, USERS.c.roles, USERS.c.epoch, USERS.c.create_time)
    .join_from(SESSIONS, USERS, and_(USERS.c.tenant_id == SESSIONS.c.tenant_id, USERS.c.user_id == SESSIONS.c.user_id))
    .where(_THIS)
    .with_for_update(of=SESSIONS)
)
_SAVE = compiled(
    update(SESSIONS)
    .where(_THIS)
    .values(
        token_hash=bindparam("new_token_hash"),
        spent=bindparam("new_spent"),
        use_time=bindparam("new_use_time"),
        revoke_time=bindparam("new_revoke_time"),
        revoke_reason=bindparam("new_revoke_reason"),
    )
)


class HeldRow:
    """As HeldSession: a locked row."""

    def __init__(self, connection: Connection, row: Record) -> None:
        self._connection = connection
        self.session = _session_of(row)
        self.user = user_of(row)

    async def save(self, session: Session) -> None:
        """Writes what changes in a session's life."""
        await self._connection.execute(
            _SAVE,
            of_tenant=session.tenant_id,
            of_session=session.id,
            new_token_hash=session.digest,
            new_spent=_spent_json(session.spent),
            new_use_time=session.use_time,
            new_revoke_time=session.revoke_time,
            new_revoke_reason=session.revoke_reason,
        )


class SessionRepository:
    """As SessionStore, and as LiveSessions of introspection."""

    def __init__(self, doors: Doors, limits: Limits) -> None:
        self._doors = doors
        self._limits = limits

    async def add(self, session: Session) -> None:
        """Stores the session and forgets the user's dead ones, so that the table grows with people, not with time."""
        async with self._doors.tenant(session.tenant_id) as connection:
            await connection.execute(
                _FORGET,
                of_tenant=session.tenant_id,
                of_user=session.user_id,
                now=session.begin_time,
                idle_since=session.begin_time - self._limits.idle,
            )
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

    @asynccontextmanager
    async def hold(self, tenant_id: TenantId, session_id: uuid.UUID) -> AsyncIterator[HeldRow | None]:
        """The session under a row lock, which ends with the transaction."""
        async with self._doors.tenant(tenant_id) as connection:
            row = await connection.fetch_row(_HOLD, of_tenant=tenant_id, of_session=session_id)
            yield None if row is None else HeldRow(connection, row)

    async def is_live(self, tenant_id: TenantId, session_id: uuid.UUID) -> bool:
        """Whether the session has not ended."""
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            row = await connection.fetch_row(_ONE, of_tenant=tenant_id, of_session=session_id)
        return row is not None and not _session_of(row).has_ended(datetime.now(UTC), self._limits)


def _session_of(row: Record) -> Session:
    return Session(
        id=row["session_id"],
        tenant_id=TenantId(row["tenant_id"]),
        user_id=row["user_id"],
        digest=row["token_hash"],
        begin_time=row["begin_time"],
        use_time=row["use_time"],
        expire_time=row["expire_time"],
        spent=tuple(map(_spent_of, json.loads(row["spent"]))),
        revoke_time=row["revoke_time"],
        revoke_reason=row["revoke_reason"],
    )


def _spent_json(spent: tuple[Spent, ...]) -> list[dict[str, str]]:
    return [
        {
            "digest": b64encode(each.digest).decode("ascii"),
            "use_time": each.use_time.isoformat(),
            "successor": b64encode(each.sealed_successor).decode("ascii"),
        }
        for each in spent
    ]


def _spent_of(entry: dict[str, Any]) -> Spent:
    return Spent(
        digest=b64decode(entry["digest"]),
        use_time=datetime.fromisoformat(entry["use_time"]),
        sealed_successor=b64decode(entry["successor"]),
    )
