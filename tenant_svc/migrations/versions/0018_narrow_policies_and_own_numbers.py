"""Policies for rows of all tenants name the commands that are granted; functions look for names in one place only; and
a tenant's changes have numbers of its own.

Revision ID: 0018
Revises: 0017
"""

from __future__ import annotations

from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, fix_search_paths, open_policies, renew_open_policies

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_WORKER = "tenant_worker"
_QUEUE = {
    "pgqueuer": ("SELECT", "UPDATE", "DELETE"),
    "pgqueuer_log": ("SELECT", "INSERT", "DELETE"),
    "pgqueuer_schedules": ("SELECT",),
    "pgqueuer_statistics": ("SELECT",),
}
"""Table → what the worker was granted."""

# Positions are drawn over all tenants, and would tell each how much happens in the others. A trigger numbers the rows,
# since processes from before this migration write them too. Writers hold the log's lock, so that no number is drawn
# twice. Row-level security holds for the owner too, and shows it no tenant, so it is not forced while the owner writes.
_NUMBERS = """
ALTER TABLE tenant.entitlement_events ADD COLUMN number bigint;
ALTER TABLE tenant.entitlement_events NO FORCE ROW LEVEL SECURITY;
UPDATE tenant.entitlement_events AS e SET number = n.number
FROM (
    SELECT tenant_id, position, row_number() OVER (PARTITION BY tenant_id ORDER BY position) AS number
    FROM tenant.entitlement_events
) AS n
WHERE e.tenant_id = n.tenant_id AND e.position = n.position;
ALTER TABLE tenant.entitlement_events FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.entitlement_events
    ALTER COLUMN number SET NOT NULL,
    ADD CONSTRAINT entitlement_events_number_key UNIQUE (tenant_id, number);

ALTER TABLE tenant.catalog_events ADD COLUMN number bigint;
ALTER TABLE tenant.catalog_events NO FORCE ROW LEVEL SECURITY;
UPDATE tenant.catalog_events AS e SET number = n.number
FROM (SELECT position, row_number() OVER (ORDER BY position) AS number FROM tenant.catalog_events) AS n
WHERE e.position = n.position;
ALTER TABLE tenant.catalog_events FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.catalog_events
    ALTER COLUMN number SET NOT NULL,
    ADD CONSTRAINT catalog_events_number_key UNIQUE (number);

CREATE FUNCTION tenant.number_entitlement_event() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    SELECT coalesce(max(e.number), 0) + 1 INTO new.number
    FROM tenant.entitlement_events AS e WHERE e.tenant_id = new.tenant_id;
    RETURN new;
END
$function$;
CREATE FUNCTION tenant.number_catalog_event() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    SELECT coalesce(max(e.number), 0) + 1 INTO new.number FROM tenant.catalog_events AS e;
    RETURN new;
END
$function$;
REVOKE ALL ON FUNCTION tenant.number_entitlement_event(), tenant.number_catalog_event() FROM PUBLIC;
CREATE TRIGGER number_entitlement_event BEFORE INSERT ON tenant.entitlement_events
    FOR EACH ROW EXECUTE FUNCTION tenant.number_entitlement_event();
CREATE TRIGGER number_catalog_event BEFORE INSERT ON tenant.catalog_events
    FOR EACH ROW EXECUTE FUNCTION tenant.number_catalog_event();
"""


def upgrade() -> None:
    script(_NUMBERS)
    script(renew_open_policies("tenant"))
    script(fix_search_paths("tenant"))
    script(fix_search_paths("jobs"))
    for table, commands in _QUEUE.items():
        op.execute(f"DROP POLICY all_jobs ON jobs.{table}")
        for statement in open_policies(f"jobs.{table}", [TableGrant(_WORKER, commands)]):
            op.execute(statement)
