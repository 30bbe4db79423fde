"""The table of keys of adjustments. The levels are in `tenant_svc.balances`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["gauge_adjustments"]

# The requester '' matches every requester: keys from before the column have an unknown one.
gauge_adjustments = tenant_owned(
    Table(
        "gauge_adjustments",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("requester", Text(collation="C"), primary_key=True, server_default=""),
        Column("key", Text(collation="C"), primary_key=True),
        Column("delta", BigInteger, nullable=False),
        Column("level", BigInteger, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Index("gauge_adjustments_age_idx", "create_time"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT"),
    cross_tenant=(TableGrant(DIRECTORY_ROLE, ("SELECT", "DELETE")),),
)
