"""A tenant is found by its host in the index alone: new entries no longer wait in a list that every look-up reads.

Revision ID: 0024
Revises: 0023
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# The list is up to `gin_pending_list_limit` long, 4 MB by default, and with 100,000 tenants a look-up took twenty times
# as long. Entries are few, and so cheap to write at once.
_INDEX = """
ALTER INDEX tenant.tenants_login_hosts_idx SET (fastupdate = off);
SELECT gin_clean_pending_list('tenant.tenants_login_hosts_idx');
"""


def upgrade() -> None:
    script(_INDEX)
