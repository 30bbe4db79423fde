"""Terms remember every plan whose limits were promised, not only the last.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# By changing the column's type: row-level security, which binds the owner too, would hide the rows from an UPDATE.
_GRACE_PLANS = """
ALTER TABLE tenant.plan_terms ALTER COLUMN grace_plan_id TYPE JSONB USING
    CASE WHEN grace_plan_id IS NULL THEN '[]'::jsonb
    ELSE jsonb_build_array(jsonb_build_object('id', grace_plan_id, 'version', grace_plan_version)) END;
ALTER TABLE tenant.plan_terms ALTER COLUMN grace_plan_id SET NOT NULL;
ALTER TABLE tenant.plan_terms RENAME COLUMN grace_plan_id TO grace_plans;
ALTER TABLE tenant.plan_terms DROP COLUMN grace_plan_version;
"""


def upgrade() -> None:
    script(_GRACE_PLANS)
