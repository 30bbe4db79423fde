"""Reservations that have ended and periods that are long over may be forgotten.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_RETENTION = """
CREATE INDEX allocations_closed_idx ON tenant.allocations (expire_time) WHERE state <> 'RESERVED';
CREATE INDEX quota_ledger_period_idx ON tenant.quota_ledger (period_start);
CREATE INDEX grant_burns_period_idx ON tenant.grant_burns (period_start);
GRANT DELETE ON tenant.allocations, tenant.allocation_items, tenant.quota_ledger, tenant.grant_burns
    TO tenant_directory;
"""


def upgrade() -> None:
    script(_RETENTION)
