"""Batches and imports are forgotten: by a purge, and with time. New tenants are written in fewer steps.

Revision ID: 0031
Revises: 0030
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import renew_open_policies

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_FORGET = """
CREATE INDEX batch_requests_outcomes_idx ON tenant.batch_requests
    USING gin (outcomes jsonb_path_ops) WITH (fastupdate = off);
CREATE INDEX mesh_operations_ended_idx ON tenant.mesh_operations (type, end_time) WHERE end_time IS NOT NULL;
GRANT UPDATE (outcomes) ON tenant.batch_requests TO tenant_directory;
GRANT DELETE ON tenant.mesh_operations TO tenant_directory;
"""

# A statement that creates many tenants takes their slugs once, not once for each. The first number of a new tenant's
# history is known, and needs no look-up.
_ONCE = """
CREATE FUNCTION tenant.take_first_slugs() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    INSERT INTO tenant.tenant_slugs (tenant_id, slug) SELECT t.tenant_id, t.slug FROM created AS t;
    RETURN NULL;
END
$function$;
REVOKE ALL ON FUNCTION tenant.take_first_slugs() FROM PUBLIC;
DROP TRIGGER take_first_slug ON tenant.tenants;
DROP FUNCTION tenant.take_first_slug();
CREATE TRIGGER take_first_slugs AFTER INSERT ON tenant.tenants
    REFERENCING NEW TABLE AS created FOR EACH STATEMENT EXECUTE FUNCTION tenant.take_first_slugs();
DROP TRIGGER number_entitlement_event ON tenant.entitlement_events;
CREATE TRIGGER number_entitlement_event BEFORE INSERT ON tenant.entitlement_events
    FOR EACH ROW WHEN (new.number IS NULL) EXECUTE FUNCTION tenant.number_entitlement_event();
"""


def upgrade() -> None:
    script(_FORGET)
    script(_ONCE)
    script(renew_open_policies("tenant"))
