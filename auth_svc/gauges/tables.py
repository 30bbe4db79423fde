"""The table of gauges, and which rows a role may see."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, Text, Uuid, text

from tenantmesh.auth_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.runtime.row_security import TableGrant, tenant_owned

__all__ = ["gauges"]

# A level changes in the transaction that changes the rows it counts, so it always equals their number.
gauges = tenant_owned(
    Table(
        "gauges",
        metadata,
        Column("tenant_id", Uuid, nullable=False),
        Column("gauge", Text(collation="C"), nullable=False, comment="the feature that limits it"),
        Column("level", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False, comment="counts the changes of the level"),
        Column("reported_version", BigInteger, nullable=False, comment="the last that tenant_svc knows"),
        PrimaryKeyConstraint("tenant_id", "gauge", name="gauges_pkey"),
        CheckConstraint("level >= 0", name="gauges_level_check"),
        CheckConstraint("0 <= reported_version and reported_version <= version", name="gauges_version_check"),
        Index("gauges_unreported_idx", "tenant_id", "gauge", postgresql_where=text("version > reported_version")),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=[TableGrant(DIRECTORY_ROLE, ("SELECT",))],  # the outbox holds the levels of all tenants
)
