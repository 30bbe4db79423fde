"""Keys name the meters and gauges that they may use. A key of before this migration names none, and may use all.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "auth"


def upgrade() -> None:
    for name, about in (
        ("meters", "the METERED features that it may use; * is all, and so is null"),
        ("gauges", "the GAUGE features whose levels it may set; * is all, and so is null"),
    ):
        op.add_column("system_keys", sa.Column(name, ARRAY(sa.Text), comment=about), schema=SCHEMA)
