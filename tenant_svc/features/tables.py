"""The table of features. They belong to no tenant and hold no tenant's data."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata

__all__ = ["features"]

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
        Column("owner", Text, nullable=False, server_default="", comment="the service that sets the levels of a GAUGE"),
        CheckConstraint("type in ('BOOLEAN', 'STATIC', 'METERED', 'GAUGE')", name="features_type_check"),
        CheckConstraint("period in ('', 'HOUR', 'DAY', 'MONTH')", name="features_period_check"),
        CheckConstraint("rollout_basis_points between 0 and 10000", name="features_rollout_check"),
    ),
    "The catalog is the same for every tenant. Plans and overrides say which tenant has which feature.",
    (TableGrant(APP_ROLE, ("SELECT",)), TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT", "UPDATE"))),
    secret=True,
)
