"""The history of entitlements tells when a tenant was deleted, and when it came back.

Revision ID: 0029
Revises: 0028
"""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The new check holds for every row that held the old one. NOT VALID spares the scan under the exclusive lock.
    op.drop_constraint("entitlement_events_type_check", "entitlement_events", schema="tenant")
    op.execute("""
        ALTER TABLE tenant.entitlement_events ADD CONSTRAINT entitlement_events_type_check
            CHECK (type in ('PLAN_CHANGED', 'OVERRIDE_SET', 'OVERRIDE_CLEARED', 'GRANT_CREATED', 'GRANT_VOIDED',
                'LIMIT_CROSSED', 'TENANT_DELETED', 'TENANT_UNDELETED')) NOT VALID
    """)
    op.execute("ALTER TABLE tenant.entitlement_events VALIDATE CONSTRAINT entitlement_events_type_check")
