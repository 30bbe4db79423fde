"""The tables of brandings: one row of each tenant that has one, and the row of the installation."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["brandings", "default_branding"]


def _columns() -> list[Column[object]]:
    return [
        # The fields that are set: read and written as a whole.
        Column("branding", JSONB, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("update_time", TIMESTAMP(timezone=True)),
    ]


brandings = tenant_owned(
    Table(
        "brandings",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        *_columns(),
        CheckConstraint("jsonb_typeof(branding) = 'object'", name="brandings_branding_check"),
        CheckConstraint("version > 0 and update_time is not null", name="brandings_version_check"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    # The page before sign-in belongs to nobody's credential. It is read like the name that leads to the tenant.
    cross_tenant=(TableGrant(DIRECTORY_ROLE, ("SELECT",)),),
)

default_branding = catalog(
    Table(
        "default_branding",
        metadata,
        Column("singleton", Boolean, primary_key=True),
        *_columns(),
        CheckConstraint("singleton", name="default_branding_singleton_check"),
        CheckConstraint("jsonb_typeof(branding) = 'object'", name="default_branding_branding_check"),
        CheckConstraint("version >= 0", name="default_branding_version_check"),
    ),
    "The branding of the installation, which everybody may see: one row, made by the migration.",
    (
        TableGrant(DIRECTORY_ROLE, ("SELECT",)),
        TableGrant(DIRECTORY_ROLE, ("UPDATE",), ("branding", "version", "update_time")),
    ),
    secret=True,
)
