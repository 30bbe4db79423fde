"""Login hosts and e-mail domains name the credential that added them.

Revision ID: 0028
Revises: 0027
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("login_hosts", "email_domains"):
        op.add_column(table, sa.Column("actor", sa.Text, nullable=False, server_default=""), schema="tenant")
