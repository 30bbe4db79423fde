"""The table of sessions, and which rows a role may see."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, LargeBinary, PrimaryKeyConstraint, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.auth_svc.accounts.tables import users
from tenantmesh.auth_svc.schema import APP_ROLE, metadata
from tenantmesh.chassis.moments import accepted_time
from tenantmesh.runtime.row_security import tenant_owned

__all__ = ["sessions"]

sessions = tenant_owned(
    Table(
        "sessions",
        metadata,
        Column("tenant_id", Uuid, nullable=False),
        Column("session_id", Uuid, nullable=False),
        Column("user_id", Uuid, nullable=False),
        Column("token_hash", LargeBinary, nullable=False, comment="SHA-256 of the refresh token valid now"),
        Column("spent", JSONB, nullable=False, comment="tokens used a moment ago, with encrypted successors"),
        Column("begin_time", TIMESTAMP(timezone=True), nullable=False),
        Column("use_time", TIMESTAMP(timezone=True), nullable=False),
        Column("expire_time", TIMESTAMP(timezone=True), nullable=False, comment="the end, however much it is used"),
        Column("revoke_time", TIMESTAMP(timezone=True)),
        Column("revoke_reason", Text),
        PrimaryKeyConstraint("tenant_id", "session_id", name="sessions_pkey"),
        ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            [users.c.tenant_id, users.c.user_id],
            name="sessions_user_fkey",
            ondelete="CASCADE",
        ),
        *(accepted_time("sessions", column) for column in ("begin_time", "use_time", "expire_time", "revoke_time")),
        Index("sessions_user_idx", "tenant_id", "user_id"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
)
