"""Tenants, the log of what happens to them, and which request made which.

Revision ID: 0001
Revises: none
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog, ddl, tenant_owned

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "tenant"
APP, DIRECTORY = "tenant_app", "tenant_directory"
STATES = "state in ('ACTIVE', 'SUSPENDED', 'DELETED')"
TYPES = "type in ('CREATED', 'UPDATED', 'SUSPENDED', 'RESUMED', 'DELETED')"


def upgrade() -> None:
    op.execute(f"CREATE SEQUENCE {SCHEMA}.tenant_event_positions")
    op.execute(f"GRANT USAGE ON SEQUENCE {SCHEMA}.tenant_event_positions TO {APP}")
    tables = [_tenants(), _tenant_events(), _tenant_requests()]
    horizon = _event_horizon()
    # Before its row-level security is in force, which holds for the owner too.
    op.bulk_insert(horizon, [{"singleton": True, "pruned_through": 0}])
    for table in (*tables, horizon):
        for statement in ddl(table):
            op.execute(statement)


def _tenant_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("slug", sa.Text(collation="C"), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    ]


def _tenants() -> sa.Table:
    table = op.create_table(
        "tenants",
        sa.Column("tenant_id", sa.Uuid, primary_key=True),
        *_tenant_columns(),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("slug", name="tenants_slug_key"),
        sa.CheckConstraint(STATES, name="tenants_state_check"),
        schema=SCHEMA,
    )
    return tenant_owned(table, APP, ("SELECT", "INSERT", "UPDATE"), cross_tenant=[TableGrant(DIRECTORY, ("SELECT",))])


def _tenant_events() -> sa.Table:
    table = op.create_table(
        "tenant_events",
        sa.Column("tenant_id", sa.Uuid, sa.ForeignKey(f"{SCHEMA}.tenants.tenant_id"), primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        *_tenant_columns(),
        sa.CheckConstraint(TYPES, name="tenant_events_type_check"),
        sa.CheckConstraint(STATES, name="tenant_events_state_check"),
        schema=SCHEMA,
    )
    op.create_index("tenant_events_position_idx", "tenant_events", ["position"], schema=SCHEMA)
    return tenant_owned(table, APP, ("SELECT", "INSERT"), cross_tenant=[TableGrant(DIRECTORY, ("SELECT", "DELETE"))])


def _tenant_requests() -> sa.Table:
    table = op.create_table(
        "tenant_requests",
        sa.Column("tenant_id", sa.Uuid, sa.ForeignKey(f"{SCHEMA}.tenants.tenant_id"), primary_key=True),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        sa.UniqueConstraint("requester", "request_id", name="tenant_requests_request_key"),
        schema=SCHEMA,
    )
    return tenant_owned(table, APP, ("SELECT", "INSERT"), cross_tenant=[TableGrant(DIRECTORY, ("SELECT",))])


def _event_horizon() -> sa.Table:
    table = op.create_table(
        "event_horizon",
        sa.Column("singleton", sa.Boolean, primary_key=True),
        sa.Column("pruned_through", sa.BigInteger, nullable=False),
        sa.CheckConstraint("singleton", name="event_horizon_singleton_check"),
        schema=SCHEMA,
    )
    grants = [TableGrant(DIRECTORY, ("SELECT",)), TableGrant(DIRECTORY, ("UPDATE",), ("pruned_through",))]
    return catalog(table, "how far the log has been forgotten is no tenant's", grants, secret=True)
