"""Events of tenants tell of changes of proofs of names.

Revision ID: 0030
Revises: 0029
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

# Processes from before this migration read such an event as UPDATED: its own type is in the new column. The check holds
# for every row that is there.
_COLUMNS = """
ALTER TABLE tenant.tenant_events ADD COLUMN name_change jsonb, ADD COLUMN event_time timestamptz;
ALTER TABLE tenant.tenant_events ADD CONSTRAINT tenant_events_name_change_check
    CHECK (name_change IS NULL OR (type = 'UPDATED' AND event_time IS NOT NULL)) NOT VALID;
ALTER TABLE tenant.tenant_events VALIDATE CONSTRAINT tenant_events_name_change_check;
"""


def upgrade() -> None:
    script(_COLUMNS)
