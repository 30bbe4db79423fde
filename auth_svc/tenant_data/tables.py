"""The table of tenants whose rows must not come back."""

from __future__ import annotations

from sqlalchemy import Column, Table, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.auth_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.runtime.row_security import TableGrant, catalog

__all__ = ["purged_tenants"]

# A policy of every tenant-owned table reads it. A call that was under way when the tenant was purged writes nothing.
purged_tenants = catalog(
    Table(
        "purged_tenants",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        Column("purge_time", TIMESTAMP(timezone=True), nullable=False),
    ),
    "The id of a tenant that is gone outlives it, so that no row of it is written any more.",
    (TableGrant(APP_ROLE, ("SELECT",)), TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT"))),
    secret=True,
)
