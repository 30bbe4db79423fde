"""Notes belong to a tenant; colours to nobody."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from tenantmesh.runtime.row_security import TableGrant, catalog, tenant_owned

METADATA = MetaData(schema="tenant")

NOTES = tenant_owned(
    Table(
        "notes",
        METADATA,
        Column("tenant_id", Uuid, nullable=False),
        Column("id", Uuid, nullable=False),
        Column("parent_id", Uuid),
        Column("title", Text, nullable=False),
        Column("size", BigInteger),
        Column("extra", JSONB),
        PrimaryKeyConstraint("tenant_id", "id", name="notes_pkey"),
        UniqueConstraint("tenant_id", "title", name="notes_title_key"),
        ForeignKeyConstraint(
            ["tenant_id", "parent_id"],
            ["tenant.notes.tenant_id", "tenant.notes.id"],
            name="notes_parent_fkey",
            deferrable=True,
            initially="DEFERRED",
        ),
    ),
    app_role="tenant_app",
    privileges=("SELECT", "INSERT", "UPDATE", "DELETE"),
    cross_tenant=[TableGrant("tenant_directory", ["SELECT"], ["tenant_id", "id", "title"])],
)
COLOURS = catalog(
    Table("colours", METADATA, Column("name", Text, primary_key=True)),
    "colours are the same for everybody",
    [TableGrant("tenant_app", ["SELECT"]), TableGrant("tenant_directory", ["SELECT", "INSERT"])],
)
