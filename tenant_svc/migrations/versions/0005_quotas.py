"""The ledger of allowances, reservations, and levels.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, ddl, tenant_owned

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE tenant.quota_ledger (
    tenant_id UUID NOT NULL,
    feature_id TEXT COLLATE "C" NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    given BIGINT NOT NULL,
    from_plan BIGINT NOT NULL,
    update_time TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, feature_id, period_start),
    CONSTRAINT quota_ledger_given_check CHECK (0 <= from_plan and from_plan <= given),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);

CREATE TABLE tenant.grant_burns (
    tenant_id UUID NOT NULL,
    grant_id UUID NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, grant_id, period_start),
    FOREIGN KEY(tenant_id, grant_id) REFERENCES tenant.grants (tenant_id, grant_id),
    CONSTRAINT grant_burns_amount_check CHECK (amount >= 0)
);

CREATE TABLE tenant.allocations (
    tenant_id UUID NOT NULL,
    allocation_id UUID NOT NULL,
    state TEXT NOT NULL,
    expire_time TIMESTAMP WITH TIME ZONE NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    requester TEXT,
    request_id UUID,
    digest TEXT,
    PRIMARY KEY (tenant_id, allocation_id),
    CONSTRAINT allocations_request_key UNIQUE (tenant_id, requester, request_id),
    CONSTRAINT allocations_state_check CHECK (state in ('RESERVED', 'COMMITTED', 'RELEASED', 'EXPIRED')),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);
CREATE INDEX allocations_expiry_idx ON tenant.allocations (expire_time) WHERE state = 'RESERVED';

CREATE TABLE tenant.allocation_items (
    tenant_id UUID NOT NULL,
    allocation_id UUID NOT NULL,
    feature_id TEXT COLLATE "C" NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    allocated BIGINT NOT NULL,
    committed BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, allocation_id, feature_id),
    FOREIGN KEY(tenant_id, allocation_id) REFERENCES tenant.allocations (tenant_id, allocation_id),
    CONSTRAINT allocation_items_committed_check CHECK (0 <= committed and committed <= allocated)
);

CREATE TABLE tenant.gauges (
    tenant_id UUID NOT NULL,
    feature_id TEXT COLLATE "C" NOT NULL,
    level BIGINT NOT NULL,
    reported_version BIGINT,
    update_time TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, feature_id),
    CONSTRAINT gauges_level_check CHECK (level >= 0),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);

CREATE TABLE tenant.gauge_adjustments (
    tenant_id UUID NOT NULL,
    feature_id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    delta BIGINT NOT NULL,
    level BIGINT NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, feature_id, key),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);
CREATE INDEX gauge_adjustments_age_idx ON tenant.gauge_adjustments (create_time);
"""

_RIGHTS = {
    "quota_ledger": (("SELECT", "INSERT", "UPDATE"), ("SELECT",)),
    "grant_burns": (("SELECT", "INSERT", "UPDATE"), ("SELECT",)),
    "allocations": (("SELECT", "INSERT", "UPDATE"), ("SELECT",)),
    "allocation_items": (("SELECT", "INSERT", "UPDATE"), ("SELECT",)),
    "gauges": (("SELECT", "INSERT", "UPDATE"), ("SELECT",)),
    "gauge_adjustments": (("SELECT", "INSERT"), ("SELECT", "DELETE")),
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
