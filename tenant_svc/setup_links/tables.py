"""The table of set-up links. Of a link's secret it holds only the hash."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["setup_links"]

setup_links = tenant_owned(
    Table(
        "setup_links",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("setup_link_id", Uuid, primary_key=True),
        Column("secret_hash", LargeBinary, nullable=False, comment="SHA-256 of the secret"),
        Column("intent", Text, nullable=False),
        Column("note", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("key_id", Uuid, comment="the API key that made it; null for one that a user made"),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("expire_time", TIMESTAMP(timezone=True), nullable=False),
        Column("use_time", TIMESTAMP(timezone=True)),
        Column("revoke_time", TIMESTAMP(timezone=True)),
        Column("result", Text, nullable=False),
        CheckConstraint("octet_length(secret_hash) = 32", name="setup_links_secret_hash_check"),
        CheckConstraint("use_time is null or revoke_time is null", name="setup_links_end_check"),
        Index("setup_links_secret_hash_idx", "secret_hash"),  # a token is looked up across tenants
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
    # A caller sends the token alone and names no tenant, so the token is found across tenants.
    cross_tenant=(TableGrant(DIRECTORY_ROLE, ("SELECT",)),),
)
