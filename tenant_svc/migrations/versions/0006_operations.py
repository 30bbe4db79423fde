"""Long-running operations.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, ddl, tenant_owned

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE tenant.operations (
    tenant_id UUID NOT NULL,
    operation_id UUID NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL,
    request JSONB NOT NULL,
    progress JSONB NOT NULL,
    error JSONB,
    cancel_requested BOOLEAN NOT NULL,
    actor TEXT NOT NULL,
    effective_time TIMESTAMP WITH TIME ZONE NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    end_time TIMESTAMP WITH TIME ZONE,
    requester TEXT,
    request_id UUID,
    digest TEXT,
    PRIMARY KEY (tenant_id, operation_id),
    CONSTRAINT operations_request_key UNIQUE (tenant_id, requester, request_id),
    CONSTRAINT operations_type_check CHECK (type in ('MIGRATE_TENANT_PLAN')),
    CONSTRAINT operations_state_check
        CHECK (state in ('SCHEDULED', 'CHECKING', 'APPLYING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);
CREATE UNIQUE INDEX operations_one_under_way_idx ON tenant.operations (tenant_id, type) WHERE end_time is null;
"""

_RIGHTS = {
    "operations": (("SELECT", "INSERT", "UPDATE"), ("SELECT",)),
}
"""Table → what the tenant's door and the system door may do with it."""


def upgrade() -> None:
    script(_TABLES)
    for table, (own, across) in _RIGHTS.items():
        for statement in ddl(_owned(table, own, across)):
            op.execute(statement)


def _owned(name: str, own: tuple[str, ...], across: tuple[str, ...]) -> sa.Table:
    table = sa.Table(name, sa.MetaData(), sa.Column("tenant_id", sa.Uuid, primary_key=True), schema="tenant")
    return tenant_owned(table, "tenant_app", own, cross_tenant=[TableGrant("tenant_directory", across)])
