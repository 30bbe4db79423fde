"""Leases and reservations have a holder, and gauges an owner.

Units that were leased before have no holder, so that nobody can return them. Reservations of before, which end within a
day, can be ended by any service, as before. A gauge gets its owner with the next report, or from an operator.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import ddl, tenant_owned

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_HOLDERS = """
CREATE TABLE tenant.quota_leases (
    tenant_id UUID NOT NULL,
    feature_id TEXT COLLATE "C" NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    amount BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, feature_id, period_start, holder, account),
    CONSTRAINT quota_leases_amount_check CHECK (amount > 0),
    CONSTRAINT quota_leases_ledger_fkey FOREIGN KEY (tenant_id, feature_id, period_start)
        REFERENCES tenant.quota_ledger (tenant_id, feature_id, period_start) ON DELETE CASCADE
);
ALTER TABLE tenant.allocations ADD COLUMN holder text;
COMMENT ON COLUMN tenant.allocations.holder
    IS 'who may commit and release it; null for any service, as before there were holders';
ALTER TABLE tenant.gauges ADD COLUMN reporter text;
COMMENT ON COLUMN tenant.gauges.reporter
    IS 'who reports it; null also where that was before reporters had a name here';
ALTER TABLE tenant.features ADD COLUMN owner text NOT NULL DEFAULT '';
COMMENT ON COLUMN tenant.features.owner IS 'the service that sets the levels of a GAUGE';
"""


def upgrade() -> None:
    script(_HOLDERS)
    table = sa.Table("quota_leases", sa.MetaData(), sa.Column("tenant_id", sa.Uuid, primary_key=True), schema="tenant")
    for statement in ddl(tenant_owned(table, "tenant_app", ("SELECT", "INSERT", "UPDATE", "DELETE"))):
        op.execute(statement)
