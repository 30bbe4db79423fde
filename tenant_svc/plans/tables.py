"""The tables of plans, in versions, and of the default plan. They belong to no tenant and hold no tenant's data."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata

__all__ = ["default_plan", "plan_versions"]

# Prices are secret: only the roles granted here see rows, even if others are granted the table by mistake.
plan_versions = catalog(
    Table(
        "plan_versions",
        metadata,
        Column("plan_id", Text(collation="C"), primary_key=True),
        Column("version", Integer, primary_key=True, autoincrement=False),
        Column("state", Text, nullable=False),
        Column("display_name", Text, nullable=False),
        # The feature ids with their values, and the rate classes with theirs: read and written as a whole.
        Column("features", JSONB, nullable=False),
        Column("all_features", Boolean, nullable=False),
        Column("rates", JSONB, nullable=False),
        Column("billing_period", Text, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("publish_time", TIMESTAMP(timezone=True)),
        Column("archive_time", TIMESTAMP(timezone=True)),
        Column("revision", BigInteger, nullable=False),
        # A property of the plan: the same in all its versions. Its writer has locked the plan.
        Column("listed", Boolean, nullable=False),
        CheckConstraint("state in ('DRAFT', 'PUBLISHED', 'ARCHIVED')", name="plan_versions_state_check"),
        CheckConstraint("billing_period in ('HOUR', 'DAY', 'MONTH')", name="plan_versions_billing_period_check"),
    ),
    "Plans are price lists: the same for every tenant. Which tenant pins which version is the tenant's own row.",
    (TableGrant(APP_ROLE, ("SELECT",)), TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT", "UPDATE"))),
    secret=True,
)

default_plan = catalog(
    Table(
        "default_plan",
        metadata,
        Column("singleton", Boolean, primary_key=True),
        Column("plan_id", Text(collation="C"), nullable=False),
        CheckConstraint("singleton", name="default_plan_singleton_check"),
    ),
    "The plan of new tenants whose request names none: one row, made by the migration.",
    (
        TableGrant(APP_ROLE, ("SELECT",)),
        TableGrant(DIRECTORY_ROLE, ("SELECT",)),
        TableGrant(DIRECTORY_ROLE, ("UPDATE",), ("plan_id",)),
    ),
    secret=True,
)
