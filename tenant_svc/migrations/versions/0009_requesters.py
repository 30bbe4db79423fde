"""Keys of adjustments belong to who used them; open reservations are found by tenant.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# The default stands for who used a key before this, or uses one through a process of before that is still running.
_CHANGES = """
ALTER TABLE tenant.gauge_adjustments ADD COLUMN requester TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE tenant.gauge_adjustments DROP CONSTRAINT gauge_adjustments_pkey;
ALTER TABLE tenant.gauge_adjustments ADD PRIMARY KEY (tenant_id, feature_id, requester, key);

CREATE INDEX allocations_open_idx ON tenant.allocations (tenant_id) WHERE state = 'RESERVED';
"""


def upgrade() -> None:
    script(_CHANGES)
