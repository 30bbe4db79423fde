"""The plan that new tenants get is a setting, and a tenant's row says why it is suspended.

Revision ID: 0016
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, catalog, ddl

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SCHEMA = "tenant"
APP = "tenant_app"
DIRECTORY = "tenant_directory"

# Events of before this migration hold the reasons of tenants that are suspended now. Row-level security holds for the
# owner too, and shows it no tenant, so it is not forced while the owner writes.
_SUSPENSIONS = """
ALTER TABLE tenant.tenants
    ADD COLUMN suspend_reason text, ADD COLUMN suspend_actor text, ADD COLUMN suspend_time timestamptz;
ALTER TABLE tenant.tenant_events
    ADD COLUMN suspend_reason text, ADD COLUMN suspend_actor text, ADD COLUMN suspend_time timestamptz;
ALTER TABLE tenant.tenants NO FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenant_events NO FORCE ROW LEVEL SECURITY;
UPDATE tenant.tenants AS t
SET suspend_reason = e.reason, suspend_actor = '', suspend_time = e.update_time
FROM (
    SELECT DISTINCT ON (tenant_id) tenant_id, reason, update_time
    FROM tenant.tenant_events WHERE type = 'SUSPENDED' ORDER BY tenant_id, position DESC
) AS e
WHERE t.tenant_id = e.tenant_id AND t.state = 'SUSPENDED';
ALTER TABLE tenant.tenants FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenant_events FORCE ROW LEVEL SECURITY;
"""

# As get_tenant, with the suspension. A function of its own, since processes from before this migration still call the
# other one, whose result must not change under the statements that they have prepared.
_FUNCTION = """
CREATE FUNCTION tenant.read_tenant(wanted uuid)
RETURNS TABLE (
    tenant_id uuid, slug text, display_name text, plan_id text, plan_version integer, state text,
    create_time timestamptz, update_time timestamptz, version bigint,
    suspend_reason text, suspend_actor text, suspend_time timestamptz
)
LANGUAGE plpgsql SECURITY INVOKER AS $function$
BEGIN
    PERFORM pg_catalog.set_config('app.tenant_id', wanted::text, true);
    RETURN QUERY
        SELECT t.tenant_id, t.slug, t.display_name, t.plan_id, t.plan_version, t.state, t.create_time, t.update_time,
            t.version, t.suspend_reason, t.suspend_actor, t.suspend_time
        FROM tenant.tenants AS t
        WHERE t.tenant_id = wanted AND t.state <> 'DELETED';
END
$function$;
REVOKE ALL ON FUNCTION tenant.read_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant.read_tenant(uuid) TO tenant_app;
"""


def upgrade() -> None:
    script(_SUSPENSIONS)
    script(_FUNCTION)
    table = op.create_table(
        "default_plan",
        sa.Column("singleton", sa.Boolean, primary_key=True),
        sa.Column("plan_id", sa.Text(collation="C"), nullable=False),
        sa.CheckConstraint("singleton", name="default_plan_singleton_check"),
        schema=SCHEMA,
    )
    op.bulk_insert(table, [{"singleton": True, "plan_id": "basic"}])  # before row-level security holds for the owner
    grants = [
        TableGrant(APP, ("SELECT",)),
        TableGrant(DIRECTORY, ("SELECT",)),
        TableGrant(DIRECTORY, ("UPDATE",), ("plan_id",)),
    ]
    for statement in ddl(catalog(table, "what new tenants get is the installation's", grants, secret=True)):
        op.execute(statement)
