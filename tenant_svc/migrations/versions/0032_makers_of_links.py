"""Set-up links know the API key that has made them, so that they end when the key is revoked.

Revision ID: 0032
Revises: 0031
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_COMMENT = "the API key that made it; null for one that a user made"


def upgrade() -> None:
    op.add_column("setup_links", sa.Column("key_id", sa.Uuid, comment=_COMMENT), schema="tenant")
