"""Consumers of an event log store how far they are.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tenantmesh.runtime.row_security import TableGrant, catalog, ddl

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SCHEMA = "tenant"
DIRECTORY = "tenant_directory"


def upgrade() -> None:
    table = op.create_table(
        "followers",
        sa.Column("log", sa.Text, primary_key=True),
        sa.Column("follower", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    grants = [TableGrant(DIRECTORY, ("SELECT", "INSERT")), TableGrant(DIRECTORY, ("UPDATE",), ("position",))]
    for statement in ddl(catalog(table, "how far a consumer of a log is, is no tenant's", grants, secret=True)):
        op.execute(statement)
