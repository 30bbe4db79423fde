"""No row of a purged tenant comes back: a call that was under way when the tenant was purged writes nothing.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import Fence, Purger, TableGrant, catalog, ddl, renew_purge_policies

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE auth.purged_tenants (
    tenant_id uuid NOT NULL,
    purge_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id)
);
"""
_GRANTS = [TableGrant("auth_app", ("SELECT",)), TableGrant("auth_directory", ("SELECT", "INSERT"))]
_PURGER = Purger("auth_purger", fence=Fence("purged_tenants", "auth_app"))


def upgrade() -> None:
    script(_TABLE)
    table = sa.Table("purged_tenants", sa.MetaData(), schema="auth")
    for statement in ddl(catalog(table, "what outlives a tenant", _GRANTS, secret=True)):
        op.execute(statement)
    script(renew_purge_policies("auth", _PURGER))
