"""Tenants have a profile, other names, and an end: labels, region and more; former slugs and hosts; deletion.

Revision ID: 0019
Revises: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, ddl, renew_open_policies, tenant_owned

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SCHEMA = "tenant"
APP = "tenant_app"
DIRECTORY = "tenant_directory"

# Constants as defaults: PostgreSQL adds such columns without writing the rows anew. Processes from before this
# migration insert rows without them.
_COLUMNS = """
ALTER TABLE tenant.{table}
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{{}}',
    ADD COLUMN region text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN external_id text COLLATE "C",
    ADD COLUMN time_zone text NOT NULL DEFAULT '',
    ADD COLUMN locale text NOT NULL DEFAULT '',
    ADD COLUMN currency text NOT NULL DEFAULT '',
    ADD COLUMN contacts jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN parent_id uuid,
    ADD COLUMN delete_protection boolean NOT NULL DEFAULT false,
    ADD COLUMN former_slugs jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN login_hosts text[] COLLATE "C" NOT NULL DEFAULT '{{}}',
    ADD COLUMN primary_login_host text NOT NULL DEFAULT '',
    ADD COLUMN delete_reason text,
    ADD COLUMN delete_actor text,
    ADD COLUMN delete_time timestamptz,
    ADD COLUMN purge_time timestamptz;
"""
_TENANTS = """
ALTER TABLE tenant.tenants ADD COLUMN purge_start_time timestamptz,
    ADD CONSTRAINT tenants_external_id_key UNIQUE (external_id);
CREATE INDEX tenants_parent_idx ON tenant.tenants (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX tenants_login_hosts_idx ON tenant.tenants USING gin (login_hosts);
ALTER TABLE tenant.tenant_events DROP CONSTRAINT tenant_events_type_check;
ALTER TABLE tenant.tenant_events ADD CONSTRAINT tenant_events_type_check
    CHECK (type in ('CREATED', 'UPDATED', 'SUSPENDED', 'RESUMED', 'DELETED', 'UNDELETED')) NOT VALID;
"""

# A trigger takes the slug, since processes from before this migration create tenants too. Row-level security holds for
# the owner too, and shows it no tenant, so it is not forced while the owner writes.
_SLUGS = """
ALTER TABLE tenant.tenants NO FORCE ROW LEVEL SECURITY;
INSERT INTO tenant.tenant_slugs (tenant_id, slug) SELECT tenant_id, slug FROM tenant.tenants;
ALTER TABLE tenant.tenants FORCE ROW LEVEL SECURITY;
ALTER TABLE tenant.tenants DROP CONSTRAINT tenants_slug_key;

CREATE FUNCTION tenant.take_first_slug() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER
SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    INSERT INTO tenant.tenant_slugs (tenant_id, slug) VALUES (new.tenant_id, new.slug);
    RETURN NULL;
END
$function$;
REVOKE ALL ON FUNCTION tenant.take_first_slug() FROM PUBLIC;
CREATE TRIGGER take_first_slug AFTER INSERT ON tenant.tenants
    FOR EACH ROW EXECUTE FUNCTION tenant.take_first_slug();
"""

# As read_tenant, with the new columns, and deleted tenants too: operators read those. A function of its own, since
# processes from before this migration still call the other one, whose result must not change under the statements
# that they have prepared.
_FUNCTION = """
CREATE FUNCTION tenant.tenant_row(wanted uuid)
RETURNS TABLE (
    tenant_id uuid, slug text, display_name text, plan_id text, plan_version integer, state text,
    create_time timestamptz, update_time timestamptz, version bigint,
    suspend_reason text, suspend_actor text, suspend_time timestamptz,
    labels jsonb, region text, external_id text, time_zone text, locale text, currency text, contacts jsonb,
    parent_id uuid, delete_protection boolean, former_slugs jsonb, login_hosts text[], primary_login_host text,
    delete_reason text, delete_actor text, delete_time timestamptz, purge_time timestamptz
)
LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
    PERFORM pg_catalog.set_config('app.tenant_id', wanted::text, true);
    RETURN QUERY
        SELECT t.tenant_id, t.slug, t.display_name, t.plan_id, t.plan_version, t.state, t.create_time, t.update_time,
            t.version, t.suspend_reason, t.suspend_actor, t.suspend_time,
            t.labels, t.region, t.external_id, t.time_zone, t.locale, t.currency, t.contacts,
            t.parent_id, t.delete_protection, t.former_slugs, t.login_hosts, t.primary_login_host,
            t.delete_reason, t.delete_actor, t.delete_time, t.purge_time
        FROM tenant.tenants AS t
        WHERE t.tenant_id = wanted;
END
$function$;
REVOKE ALL ON FUNCTION tenant.tenant_row(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant.tenant_row(uuid) TO tenant_app;
"""


# A transaction of a tenant may put a job about that tenant into the queue: its subject begins with the tenant's name.
_JOBS = """
DROP POLICY own_jobs ON jobs.pgqueuer;
CREATE POLICY own_jobs ON jobs.pgqueuer AS PERMISSIVE FOR INSERT TO tenant_app WITH CHECK (
    status = 'queued'
    AND substr(payload, 1, 45) = convert_to(
        'tenants/' || (SELECT current_setting('app.tenant_id')::uuid)::text || '/', 'UTF8')
    AND length(payload) <= 512
);
"""


def upgrade() -> None:
    for table in ("tenants", "tenant_events"):
        script(_COLUMNS.format(table=table))
    script(_TENANTS)
    slugs = op.create_table(
        "tenant_slugs",
        sa.Column("tenant_id", sa.Uuid, sa.ForeignKey("tenant.tenants.tenant_id"), primary_key=True),
        sa.Column("slug", sa.Text(collation="C"), primary_key=True),
        sa.Column("resolve_until", TIMESTAMP(timezone=True), comment="null for the current one"),
        sa.UniqueConstraint("slug", name="tenant_slugs_slug_key"),
        schema=SCHEMA,
    )
    script(_SLUGS)  # before row-level security holds for the owner
    declared = tenant_owned(
        slugs,
        APP,
        ("SELECT", "INSERT", "UPDATE", "DELETE"),
        cross_tenant=[TableGrant(DIRECTORY, ("SELECT",))],
        unique_across_tenants={"tenant_slugs_slug_key": "slugs are global"},
    )
    for statement in ddl(declared):
        op.execute(statement)
    script(_FUNCTION)
    script(_JOBS)
    script(renew_open_policies(SCHEMA))
