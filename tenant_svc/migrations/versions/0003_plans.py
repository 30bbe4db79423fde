"""Features, plans in versions, and which version each tenant pins.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import TableGrant, catalog, ddl

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BEFORE = """
-- Every tenant there is pins the first version of its plan, which is what it has been on.
ALTER TABLE tenant.tenants ADD COLUMN plan_version integer NOT NULL DEFAULT 1;
ALTER TABLE tenant.tenants ALTER COLUMN plan_version DROP DEFAULT;
ALTER TABLE tenant.tenant_events ADD COLUMN plan_version integer NOT NULL DEFAULT 1;
ALTER TABLE tenant.tenant_events ALTER COLUMN plan_version DROP DEFAULT;
GRANT USAGE ON SEQUENCE tenant.tenant_event_positions TO tenant_directory;
DROP FUNCTION tenant.get_tenant(uuid);
"""

_TABLES = """
CREATE TABLE tenant.features (
    feature_id TEXT COLLATE "C" NOT NULL,
    type TEXT NOT NULL,
    display_name TEXT NOT NULL,
    unit TEXT NOT NULL,
    period TEXT NOT NULL,
    rollout_basis_points INTEGER,
    rollout_plan_ids JSONB NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    update_time TIMESTAMP WITH TIME ZONE NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (feature_id),
    CONSTRAINT features_type_check CHECK (type in ('BOOLEAN', 'STATIC', 'METERED', 'GAUGE')),
    CONSTRAINT features_period_check CHECK (period in ('', 'HOUR', 'DAY', 'MONTH')),
    CONSTRAINT features_rollout_check CHECK (rollout_basis_points between 0 and 10000)
);

CREATE TABLE tenant.plan_versions (
    plan_id TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    display_name TEXT NOT NULL,
    features JSONB NOT NULL,
    all_features BOOLEAN NOT NULL,
    rates JSONB NOT NULL,
    billing_period TEXT NOT NULL,
    create_time TIMESTAMP WITH TIME ZONE NOT NULL,
    publish_time TIMESTAMP WITH TIME ZONE,
    archive_time TIMESTAMP WITH TIME ZONE,
    revision BIGINT NOT NULL,
    PRIMARY KEY (plan_id, version),
    CONSTRAINT plan_versions_state_check CHECK (state in ('DRAFT', 'PUBLISHED', 'ARCHIVED')),
    CONSTRAINT plan_versions_billing_period_check CHECK (billing_period in ('HOUR', 'DAY', 'MONTH'))
);
"""

_SEEDS = """
INSERT INTO tenant.features
    (feature_id, type, display_name, unit, period, rollout_plan_ids, create_time, update_time, version)
VALUES
    ('core', 'BOOLEAN', 'Core', '', '', '[]', now(), now(), 1),
    ('biometric_auth', 'BOOLEAN', 'Sign-in with passkeys', '', '', '[]', now(), now(), 1),
    ('api_requests', 'METERED', 'API requests', 'request', 'DAY', '[]', now(), now(), 1),
    ('users', 'GAUGE', 'Users', 'user', '', '[]', now(), now(), 1),
    ('storage_bytes', 'GAUGE', 'Storage', 'byte', '', '[]', now(), now(), 1);

INSERT INTO tenant.plan_versions
    (plan_id, version, state, display_name, features, all_features, rates, billing_period, create_time, publish_time,
     revision)
VALUES
    ('basic', 1, 'PUBLISHED', 'Basic', '{"core": {"enabled": true}, "api_requests": {"limit": 1000},
      "users": {"limit": 100}, "storage_bytes": {"limit": 10000000000}}', false,
     '{"api": {"per_second": 50, "burst": 100}}', 'MONTH', now(), now(), 1),
    ('premium', 1, 'PUBLISHED', 'Premium', '{"core": {"enabled": true}, "biometric_auth": {"enabled": true},
      "api_requests": {"limit": 10000}, "users": {"limit": 1000}, "storage_bytes": {"limit": 100000000000}}', false,
     '{"api": {"per_second": 200, "burst": 400}}', 'MONTH', now(), now(), 1),
    ('enterprise', 1, 'PUBLISHED', 'Enterprise', '{"api_requests": {"limit": 100000}, "users": {"limit": 10000},
      "storage_bytes": {"limit": 1000000000000}}', true,
     '{"api": {"per_second": 1000, "burst": 2000}}', 'MONTH', now(), now(), 1),
    ('custom', 1, 'PUBLISHED', 'Custom', '{"core": {"enabled": true}, "api_requests": {"unlimited": true},
      "users": {"unlimited": true}, "storage_bytes": {"unlimited": true}}', false, '{}', 'MONTH', now(), now(), 1);
"""
"""What every installation begins with. What comes later is for operators to draft and publish."""

# As in 0002, with the plan's version.
_FUNCTION = """
CREATE FUNCTION tenant.get_tenant(wanted uuid)
RETURNS TABLE (
    tenant_id uuid, slug text, display_name text, plan_id text, plan_version integer, state text,
    create_time timestamptz, update_time timestamptz, version bigint
)
LANGUAGE plpgsql SECURITY INVOKER AS $function$
BEGIN
    PERFORM pg_catalog.set_config('app.tenant_id', wanted::text, true);
    RETURN QUERY
        SELECT t.tenant_id, t.slug, t.display_name, t.plan_id, t.plan_version, t.state, t.create_time, t.update_time,
            t.version
        FROM tenant.tenants AS t
        WHERE t.tenant_id = wanted AND t.state <> 'DELETED';
END
$function$;
REVOKE ALL ON FUNCTION tenant.get_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant.get_tenant(uuid) TO tenant_app;
"""


def upgrade() -> None:
    script(_BEFORE)
    script(_TABLES)
    script(_SEEDS)  # before row-level security is in force, which holds for the owner too
    script(_FUNCTION)
    for name in ("features", "plan_versions"):
        for statement in ddl(_catalog(name)):
            op.execute(statement)


def _catalog(name: str) -> sa.Table:
    grants = [TableGrant("tenant_app", ("SELECT",)), TableGrant("tenant_directory", ("SELECT", "INSERT", "UPDATE"))]
    return catalog(sa.Table(name, sa.MetaData(), schema="tenant"), "the same for every tenant", grants, secret=True)
