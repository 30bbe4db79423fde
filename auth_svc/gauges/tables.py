"""The table of levels, and who may see which of its rows."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, PrimaryKeyConstraint, Table, Text, Uuid, text

from tenantmesh.auth_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.runtime.row_security import Grant, tenant_owned

__all__ = ["GAUGES"]

# A level changes in the transaction of the rows that it counts, so that it is never anything but their number.
GAUGES = Table(
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
)
tenant_owned(
    GAUGES,
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=[Grant(DIRECTORY_ROLE, ("SELECT",))],  # finding what is not reported, whoever's it is
)
