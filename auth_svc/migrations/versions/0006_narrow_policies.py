"""Policies for rows of all tenants name the commands that are granted; functions look for names in one place only.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from tenantmesh.runtime.migrations import script
from tenantmesh.runtime.row_security import fix_search_paths, renew_open_policies

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    script(renew_open_policies("auth"))
    script(fix_search_paths("auth"))
