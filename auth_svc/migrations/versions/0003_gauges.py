"""Levels: how many users a tenant has, counted where they are added.

Processes of an older version add users without counting them: stop those first.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, ddl, tenant_owned

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The owner, too, sees no rows of tenants while row-level security is forced.
_COUNT = """
ALTER TABLE auth.users NO FORCE ROW LEVEL SECURITY;
INSERT INTO auth.gauges (tenant_id, gauge, level, version, reported_version)
    SELECT tenant_id, 'users', count(*), 1, 0 FROM auth.users GROUP BY tenant_id;
ALTER TABLE auth.users FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    table = op.create_table(
        "gauges",
        sa.Column("tenant_id", sa.Uuid, nullable=False),
        sa.Column("gauge", sa.Text(collation="C"), nullable=False, comment="the feature that limits it"),
        sa.Column("level", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, comment="counts the changes of the level"),
        sa.Column("reported_version", sa.BigInteger, nullable=False, comment="the last that tenant_svc knows"),
        sa.PrimaryKeyConstraint("tenant_id", "gauge", name="gauges_pkey"),
        sa.CheckConstraint("level >= 0", name="gauges_level_check"),
        sa.CheckConstraint("0 <= reported_version and reported_version <= version", name="gauges_version_check"),
        schema="auth",
    )
    op.create_index(
        "gauges_unreported_idx",
        "gauges",
        ["tenant_id", "gauge"],
        schema="auth",
        postgresql_where=sa.text("version > reported_version"),
    )
    script(_COUNT)
    for statement in ddl(
        tenant_owned(
            table,
            "auth_app",
            ("SELECT", "INSERT", "UPDATE"),
            cross_tenant=[TableGrant("auth_directory", ("SELECT",))],
        )
    ):
        op.execute(statement)
