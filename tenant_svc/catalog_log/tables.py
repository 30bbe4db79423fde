"""The table of changes of the catalog."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata

__all__ = ["catalog_events"]

catalog_events = catalog(
    Table(
        "catalog_events",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("number", BigInteger, nullable=False),  # counts the catalog's events; a trigger sets it
        Column("feature_id", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("before", Text, nullable=False),
        Column("after", Text, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        UniqueConstraint("number", name="catalog_events_number_key"),
    ),
    "A feature's rollout changes for every tenant at once, and holds no data of a tenant.",
    (TableGrant(APP_ROLE, ("SELECT",)), TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT"))),
    secret=True,
)
