"""The tables of the catalog: features, and plans in versions. They belong to no tenant, and hold nothing of any."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import Grant, catalog
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata

__all__ = ["features", "plan_versions"]

# What plans cost is known to whoever is granted it here, and a stray grant to another role shows nothing.
_GRANTS = (Grant(APP_ROLE, ("SELECT",)), Grant(DIRECTORY_ROLE, ("SELECT", "INSERT", "UPDATE")))

features = catalog(
    Table(
        "features",
        metadata,
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("type", Text, nullable=False),
        Column("display_name", Text, nullable=False),
        Column("unit", Text, nullable=False),
        Column("period", Text, nullable=False),
        Column("rollout_basis_points", Integer),
        Column("rollout_plan_ids", JSONB, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        Column("version", BigInteger, nullable=False),
        CheckConstraint("type in ('BOOLEAN', 'STATIC', 'METERED', 'GAUGE')", name="features_type_check"),
        CheckConstraint("period in ('', 'HOUR', 'DAY', 'MONTH')", name="features_period_check"),
        CheckConstraint("rollout_basis_points between 0 and 10000", name="features_rollout_check"),
    ),
    "What the products offer is the same for every tenant; who has what is written elsewhere.",
    _GRANTS,
    secret=True,
)

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
        # The plan's and not the version's: the same in all of them. Whoever writes it holds the plan.
        Column("listed", Boolean, nullable=False),
        CheckConstraint("state in ('DRAFT', 'PUBLISHED', 'ARCHIVED')", name="plan_versions_state_check"),
        CheckConstraint("billing_period in ('HOUR', 'DAY', 'MONTH')", name="plan_versions_billing_period_check"),
    ),
    "Plans are price lists: the same for every tenant. Which tenant pins which version is the tenant's own row.",
    _GRANTS,
    secret=True,
)
