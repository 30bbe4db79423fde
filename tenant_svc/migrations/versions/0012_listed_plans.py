"""Whether tenants that are not on a plan are told of it.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# The plans that every installation begins with are listed; all others are private until somebody lists them. Row-level
# security holds for the owner too, and shows it no plan, so it is not forced while the owner writes. The default goes:
# a process from before this migration must not store a version that says something else than the plan's others.
_LISTED = """
ALTER TABLE tenant.plan_versions ADD COLUMN listed boolean NOT NULL DEFAULT false;
ALTER TABLE tenant.plan_versions ALTER COLUMN listed DROP DEFAULT;
ALTER TABLE tenant.plan_versions NO FORCE ROW LEVEL SECURITY;
UPDATE tenant.plan_versions SET listed = true WHERE plan_id IN ('basic', 'premium', 'enterprise', 'custom');
ALTER TABLE tenant.plan_versions FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    script(_LISTED)
