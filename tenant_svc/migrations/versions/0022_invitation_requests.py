"""Requests to invite the first administrators of new tenants.

Revision ID: 0022
Revises: 0021
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenantmesh.runtime.row_security import TableGrant, ddl, tenant_owned

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    requests = op.create_table(
        "invitation_requests",
        sa.Column("tenant_id", sa.Uuid, sa.ForeignKey("tenant.tenants.tenant_id"), primary_key=True),
        sa.Column("invitation_request_id", sa.Uuid, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("create_time", postgresql.TIMESTAMP(timezone=True), nullable=False),
        schema="tenant",
    )
    op.create_index("invitation_requests_id_idx", "invitation_requests", ["invitation_request_id"], schema="tenant")
    across = TableGrant("tenant_directory", ("SELECT", "INSERT", "DELETE"))
    for statement in ddl(tenant_owned(requests, "tenant_app", ("SELECT", "INSERT", "DELETE"), cross_tenant=(across,))):
        op.execute(statement)
