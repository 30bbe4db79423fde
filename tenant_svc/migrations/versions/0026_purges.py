"""Purges: a role that destroys the rows of a tenant, what remains of it, and the proofs with the keys that sign them.

Revision ID: 0026
Revises: 0025
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import demand_role, script
from tenantmesh.runtime.row_security import Purger, TableGrant, catalog, ddl, renew_purge_policies

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE tenant.tenant_tombstones (
    tenant_id uuid NOT NULL,
    position bigint NOT NULL,
    purge_time timestamptz NOT NULL,
    PRIMARY KEY (tenant_id),
    CONSTRAINT tenant_tombstones_position_key UNIQUE (position)
);
CREATE TABLE tenant.purge_proofs (
    tenant_id uuid NOT NULL,
    operation_id uuid NOT NULL,
    purge_time timestamptz NOT NULL,
    kid text NOT NULL,
    proof text NOT NULL,
    signature text NOT NULL,
    PRIMARY KEY (tenant_id)
);
CREATE TABLE tenant.purge_keys (
    kid text NOT NULL,
    public_key bytea NOT NULL,
    sealed_private_key bytea NOT NULL,
    create_time timestamptz NOT NULL,
    activate_time timestamptz NOT NULL,
    PRIMARY KEY (kid)
);
CREATE INDEX tenants_purge_idx ON tenant.tenants (purge_time) WHERE state = 'DELETED';
CREATE INDEX mesh_operations_purges_idx ON tenant.mesh_operations (subject, operation_id) WHERE type = 'PURGE_TENANT';
"""

_PURGER = Purger(
    "tenant_purger",
    condition=(
        "(SELECT t.state = 'DELETED' AND t.purge_start_time IS NOT NULL FROM tenants AS t "
        "WHERE t.tenant_id = (SELECT current_setting('app.tenant_id')::uuid))"
    ),
    own={"tenants": "(state = 'DELETED' AND purge_start_time IS NOT NULL)"},
)


def upgrade() -> None:
    demand_role(_PURGER.role)
    script(_TABLES)
    for name in ("tenant_tombstones", "purge_proofs", "purge_keys"):
        table = sa.Table(name, sa.MetaData(), schema="tenant")
        granted = [TableGrant("tenant_directory", ("SELECT", "INSERT"))]
        for statement in ddl(catalog(table, "what outlives a tenant", granted, secret=True)):
            op.execute(statement)
    script(renew_purge_policies("tenant", _PURGER))
