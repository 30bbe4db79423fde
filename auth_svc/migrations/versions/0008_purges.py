"""A role of its own destroys the rows of a tenant.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import demand_role, script
from tenantmesh.runtime.row_security import Purger, renew_purge_policies

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_PURGER = Purger("auth_purger")


def upgrade() -> None:
    demand_role(_PURGER.role)
    script(renew_purge_policies("auth", _PURGER))
