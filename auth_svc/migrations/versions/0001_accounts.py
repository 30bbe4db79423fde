"""Users, their sessions, and the keys of the mesh.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog, ddl, tenant_owned

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "auth"
APP, DIRECTORY = "auth_app", "auth_directory"


def upgrade() -> None:
    for table in (_users(), _sessions(), _signing_keys(), _system_keys()):
        for statement in ddl(table):
            op.execute(statement)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, TIMESTAMP(timezone=True), nullable=nullable)


def _users() -> sa.Table:
    table = op.create_table(
        "users",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("email", sa.Text, nullable=False, comment="as written"),
        sa.Column("email_normalised", sa.Text, nullable=False, comment="decides whether two addresses are the same"),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False, comment="argon2id, encoded with its parameters"),
        sa.Column("roles", ARRAY(sa.Text), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="revocation epoch: goes into access tokens"),
        _time("create_time"),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name="users_pkey"),
        sa.UniqueConstraint("tenant_id", "email_normalised", name="users_email_key"),
        schema=SCHEMA,
    )
    return tenant_owned(table, APP, ("SELECT", "INSERT", "UPDATE"))


def _sessions() -> sa.Table:
    table = op.create_table(
        "sessions",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("session_id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("token_hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the refresh token valid now"),
        sa.Column("spent", JSONB, nullable=False, comment="tokens used a moment ago, with encrypted successors"),
        _time("begin_time"),
        _time("use_time"),
        sa.Column("expire_time", TIMESTAMP(timezone=True), nullable=False, comment="the end, however much it is used"),
        _time("revoke_time", nullable=True),
        sa.Column("revoke_reason", sa.Text),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", name="sessions_pkey"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            [f"{SCHEMA}.users.tenant_id", f"{SCHEMA}.users.user_id"],
            name="sessions_user_fkey",
            ondelete="CASCADE",
        ),
        schema=SCHEMA,
    )
    op.create_index("sessions_user_idx", "sessions", ["tenant_id", "user_id"], schema=SCHEMA)
    return tenant_owned(table, APP, ("SELECT", "INSERT", "UPDATE", "DELETE"))


def _signing_keys() -> sa.Table:
    table = op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text, primary_key=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False, comment="raw Ed25519"),
        sa.Column(
            "sealed_private_key", sa.LargeBinary, nullable=False, comment="raw Ed25519 under the key-encryption key"
        ),
        _time("create_time"),
        sa.Column("activate_time", TIMESTAMP(timezone=True), nullable=False, comment="published before it signs"),
        schema=SCHEMA,
    )
    grants = [TableGrant(DIRECTORY, ("SELECT", "INSERT"))]
    return catalog(table, "one key set signs for all tenants", grants, secret=True)


def _system_keys() -> sa.Table:
    table = op.create_table(
        "system_keys",
        sa.Column("key_id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("permissions", ARRAY(sa.Text), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the secret"),
        _time("create_time"),
        _time("expire_time", nullable=True),
        _time("revoke_time", nullable=True),
        sa.CheckConstraint("audience in ('OPERATOR', 'SERVICE')", name="system_keys_audience_check"),
        schema=SCHEMA,
    )
    grants = [TableGrant(DIRECTORY, ("SELECT", "INSERT")), TableGrant(DIRECTORY, ("UPDATE",), ("revoke_time",))]
    return catalog(table, "operators and services act on the mesh as a whole", grants, secret=True)
