"""What differs from the plan for one tenant, and the log of every change.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, catalog, ddl, tenant_owned

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE tenant.overrides (
    tenant_id UUID NOT NULL,
    feature_id TEXT COLLATE "C" NOT NULL,
    value JSONB NOT NULL,
    reason TEXT NOT NULL,
    expire_time TIMESTAMP WITH TIME ZONE,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, feature_id),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);

CREATE TABLE tenant.grants (
    tenant_id UUID NOT NULL,
    grant_id UUID NOT NULL,
    feature_id TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    priority INTEGER NOT NULL,
    effective_time TIMESTAMP WITH TIME ZONE NOT NULL,
    expire_time TIMESTAMP WITH TIME ZONE,
    max_rollover BIGINT NOT NULL,
    min_rollover BIGINT NOT NULL,
    reason TEXT NOT NULL,
    balance BIGINT NOT NULL,
    balance_period TIMESTAMP WITH TIME ZONE NOT NULL,
    void_time TIMESTAMP WITH TIME ZONE,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    requester TEXT,
    request_id UUID,
    digest TEXT,
    PRIMARY KEY (tenant_id, grant_id),
    CONSTRAINT grants_request_key UNIQUE (tenant_id, requester, request_id),
    CONSTRAINT grants_amount_check CHECK (amount > 0 and balance >= 0),
    CONSTRAINT grants_rollover_check CHECK (0 <= min_rollover and min_rollover <= max_rollover),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);
CREATE INDEX grants_feature_idx ON tenant.grants (tenant_id, feature_id);

CREATE TABLE tenant.plan_terms (
    tenant_id UUID NOT NULL,
    over_limit_policy TEXT NOT NULL,
    grace_until TIMESTAMP WITH TIME ZONE,
    grace_plan_id TEXT,
    grace_plan_version INTEGER,
    PRIMARY KEY (tenant_id),
    CONSTRAINT plan_terms_policy_check CHECK (over_limit_policy in ('REJECT', 'GRACE', 'READ_ONLY')),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);

CREATE TABLE tenant.entitlement_events (
    tenant_id UUID NOT NULL,
    position BIGINT NOT NULL,
    type TEXT NOT NULL,
    feature_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    plan_version INTEGER NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, position),
    CONSTRAINT entitlement_events_type_check
        CHECK (type in ('PLAN_CHANGED', 'OVERRIDE_SET', 'OVERRIDE_CLEARED',
        'GRANT_CREATED', 'GRANT_VOIDED', 'LIMIT_CROSSED')),
    FOREIGN KEY(tenant_id) REFERENCES tenant.tenants (tenant_id)
);
CREATE INDEX entitlement_events_position_idx ON tenant.entitlement_events (position);

CREATE TABLE tenant.catalog_events (
    position BIGINT NOT NULL,
    feature_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (position)
);
"""

_RIGHTS = {
    "overrides": (("SELECT", "INSERT", "UPDATE", "DELETE"), ("SELECT",)),
    "grants": (("SELECT", "INSERT", "UPDATE"), ("SELECT",)),
    "plan_terms": (("SELECT", "INSERT", "UPDATE", "DELETE"), ("SELECT",)),
    "entitlement_events": (("SELECT", "INSERT"), ("SELECT",)),
}
"""Table → what the tenant's door and the system door may do with it."""


def upgrade() -> None:
    script(_TABLES)
    for table, (own, across) in _RIGHTS.items():
        for statement in ddl(_owned(table, own, across)):
            op.execute(statement)
    for statement in ddl(_catalog_events()):
        op.execute(statement)


def _catalog_events() -> sa.Table:
    grants = [TableGrant("tenant_app", ("SELECT",)), TableGrant("tenant_directory", ("SELECT", "INSERT"))]
    table = sa.Table("catalog_events", sa.MetaData(), schema="tenant")
    return catalog(table, "a change of the catalog is every tenant's", grants, secret=True)


def _owned(name: str, own: tuple[str, ...], across: tuple[str, ...]) -> sa.Table:
    table = sa.Table(name, sa.MetaData(), sa.Column("tenant_id", sa.Uuid, primary_key=True), schema="tenant")
    return tenant_owned(table, "tenant_app", own, cross_tenant=[TableGrant("tenant_directory", across)])
