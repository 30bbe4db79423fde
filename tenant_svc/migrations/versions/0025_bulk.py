"""Several tenants in one transaction: the system door adds them, requests are remembered, imports keep their lines.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, catalog, ddl, renew_open_policies

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_GRANTS = """
GRANT INSERT ON tenant.tenants, tenant.tenant_slugs, tenant.tenant_events, tenant.entitlement_events
    TO tenant_directory;
"""

_TABLES = """
CREATE TABLE tenant.batch_requests (
    requester TEXT NOT NULL,
    request_id UUID NOT NULL,
    digest BYTEA NOT NULL,
    outcomes JSONB NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (requester, request_id)
);
CREATE INDEX batch_requests_create_time_idx ON tenant.batch_requests (create_time);
CREATE TABLE tenant.import_lines (
    operation_id UUID NOT NULL,
    lines BYTEA NOT NULL,
    PRIMARY KEY (operation_id),
    FOREIGN KEY(operation_id) REFERENCES tenant.mesh_operations (operation_id)
);
"""

# Locks rows of several tenants in the order of their ids, in one round trip: two that want the same rows in other
# orders would wait for each other. Each row is seen under its own tenant.
_FUNCTION = """
CREATE FUNCTION tenant.lock_tenants(wanted uuid[]) RETURNS void LANGUAGE plpgsql SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    one uuid;
BEGIN
    FOR one IN SELECT DISTINCT w FROM pg_catalog.unnest(wanted) AS w ORDER BY w LOOP
        PERFORM pg_catalog.set_config('app.tenant_id', one::text, true);
        PERFORM 1 FROM tenant.tenants AS t WHERE t.tenant_id = one FOR NO KEY UPDATE;
    END LOOP;
    PERFORM pg_catalog.set_config('app.tenant_id', '', true);
END
$function$;
REVOKE ALL ON FUNCTION tenant.lock_tenants(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant.lock_tenants(uuid[]) TO tenant_app;
"""


def upgrade() -> None:
    script(_GRANTS)
    script(_TABLES)
    of_directory = TableGrant("tenant_directory", ("SELECT", "INSERT", "DELETE"))
    for name, granted in (
        ("batch_requests", (TableGrant("tenant_app", ("INSERT",)), of_directory)),
        ("import_lines", (of_directory,)),
    ):
        table = sa.Table(name, sa.MetaData(), schema="tenant")
        for statement in ddl(catalog(table, "of operators, about many tenants", granted, secret=True)):
            op.execute(statement)
    script(_FUNCTION)
    script(renew_open_policies("tenant"))
