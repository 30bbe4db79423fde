"""Brandings of tenants and of the installation, and links with which a tenant's own people set it up.

Revision ID: 0021
Revises: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenantmesh.runtime.row_security import TableGrant, catalog, ddl, tenant_owned

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_APP, _DIRECTORY = "tenant_app", "tenant_directory"
_TIME = postgresql.TIMESTAMP(timezone=True)
_READ = TableGrant(_DIRECTORY, ("SELECT",))
_FIRST = """
INSERT INTO tenant.default_branding (singleton, branding, version)
VALUES (true, '{"display_name": "TenantMesh",
    "colors": {"primary": "#1d4ed8", "background": "#ffffff", "text": "#111827", "on_primary": ""}}', 0)
"""


def _content() -> list[sa.Column[object]]:
    return [
        sa.Column("branding", postgresql.JSONB, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("update_time", _TIME),
    ]


def _enforce(table: sa.Table) -> None:
    for statement in ddl(table):
        op.execute(statement)


def upgrade() -> None:
    brandings = op.create_table(
        "brandings",
        sa.Column("tenant_id", sa.Uuid, sa.ForeignKey("tenant.tenants.tenant_id"), primary_key=True),
        *_content(),
        sa.CheckConstraint("jsonb_typeof(branding) = 'object'", name="brandings_branding_check"),
        sa.CheckConstraint("version > 0 and update_time is not null", name="brandings_version_check"),
        schema="tenant",
    )
    _enforce(tenant_owned(brandings, _APP, ("SELECT", "INSERT", "UPDATE"), cross_tenant=(_READ,)))
    default = op.create_table(
        "default_branding",
        sa.Column("singleton", sa.Boolean, primary_key=True),
        *_content(),
        sa.CheckConstraint("singleton", name="default_branding_singleton_check"),
        sa.CheckConstraint("jsonb_typeof(branding) = 'object'", name="default_branding_branding_check"),
        sa.CheckConstraint("version >= 0", name="default_branding_version_check"),
        schema="tenant",
    )
    op.execute(_FIRST)
    change = TableGrant(_DIRECTORY, ("UPDATE",), ("branding", "version", "update_time"))
    _enforce(catalog(default, "The branding of the installation.", (_READ, change), secret=True))
    links = op.create_table(
        "setup_links",
        sa.Column("tenant_id", sa.Uuid, sa.ForeignKey("tenant.tenants.tenant_id"), primary_key=True),
        sa.Column("setup_link_id", sa.Uuid, primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False, comment="SHA-256 of the secret"),
        sa.Column("intent", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("expire_time", _TIME, nullable=False),
        sa.Column("use_time", _TIME),
        sa.Column("revoke_time", _TIME),
        sa.Column("result", sa.Text, nullable=False),
        sa.CheckConstraint("octet_length(secret_hash) = 32", name="setup_links_secret_hash_check"),
        sa.CheckConstraint("use_time is null or revoke_time is null", name="setup_links_end_check"),
        schema="tenant",
    )
    op.create_index("setup_links_secret_hash_idx", "setup_links", ["secret_hash"], schema="tenant")
    _enforce(tenant_owned(links, _APP, ("SELECT", "INSERT", "UPDATE", "DELETE"), cross_tenant=(_READ,)))
