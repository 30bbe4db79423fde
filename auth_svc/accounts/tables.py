"""The table of users, and which rows a role may see."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, PrimaryKeyConstraint, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from tenantmesh.auth_svc.schema import APP_ROLE, metadata
from tenantmesh.runtime.row_security import tenant_owned

__all__ = ["users"]

users = tenant_owned(
    Table(
        "users",
        metadata,
        Column("tenant_id", Uuid, nullable=False),
        Column("user_id", Uuid, nullable=False),
        Column("email", Text, nullable=False, comment="as written"),
        Column("email_normalised", Text, nullable=False, comment="decides whether two addresses are the same"),
        Column("display_name", Text, nullable=False),
        Column("password_hash", Text, nullable=False, comment="argon2id, encoded with its parameters"),
        Column("roles", ARRAY(Text), nullable=False),
        Column("epoch", BigInteger, nullable=False, comment="revocation epoch: goes into access tokens"),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        PrimaryKeyConstraint("tenant_id", "user_id", name="users_pkey"),
        UniqueConstraint("tenant_id", "email_normalised", name="users_email_key"),
        CheckConstraint("char_length(email) between 1 and 254", name="users_email_check"),
        CheckConstraint("octet_length(email_normalised) between 1 and 254", name="users_email_normalised_check"),
        CheckConstraint("char_length(display_name) between 1 and 254", name="users_display_name_check"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
)
