"""A tenant in one message: a function that sets the tenant for its own transaction and reads under row security.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Runs as whoever calls it, so that it may no more than a transaction of the tenant's door. plpgsql, since its
# statements run in order: a query alone would not promise that the tenant is set before the first row is looked at.
_FUNCTION = """
CREATE FUNCTION tenant.get_tenant(wanted uuid)
RETURNS TABLE (
    tenant_id uuid, slug text, display_name text, plan_id text, state text,
    create_time timestamptz, update_time timestamptz, version bigint
)
LANGUAGE plpgsql SECURITY INVOKER AS $function$
BEGIN
    PERFORM pg_catalog.set_config('app.tenant_id', wanted::text, true);
    RETURN QUERY
        SELECT t.tenant_id, t.slug, t.display_name, t.plan_id, t.state, t.create_time, t.update_time, t.version
        FROM tenant.tenants AS t
        WHERE t.tenant_id = wanted AND t.state <> 'DELETED';
END
$function$
"""


def upgrade() -> None:
    op.execute(_FUNCTION)
    op.execute("REVOKE ALL ON FUNCTION tenant.get_tenant(uuid) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION tenant.get_tenant(uuid) TO tenant_app")
