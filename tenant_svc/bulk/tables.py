"""The tables of batches and imports."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog
from tenantmesh.tenant_svc.operations.tables import mesh_operations
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata

__all__ = ["IMPORT", "batch_requests", "import_lines"]

IMPORT = "IMPORT_TENANTS"
"""The type of operations that import."""

_KEPT = TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT", "DELETE"))
_PURGED = TableGrant(DIRECTORY_ROLE, ("UPDATE",), ("outcomes",))
"""A purge takes the tenant's id out of the outcomes."""

# The requests of batches with an id, for as long as they can be repeated.
batch_requests = catalog(
    Table(
        "batch_requests",
        metadata,
        Column("requester", Text, primary_key=True),
        Column("request_id", Uuid, primary_key=True),
        Column("digest", LargeBinary, nullable=False),
        # Of each item, the tenant's id or the error; null once the tenant is purged.
        Column("outcomes", JSONB, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Index("batch_requests_create_time_idx", "create_time"),
        Index(
            "batch_requests_outcomes_idx",
            "outcomes",
            postgresql_using="gin",
            postgresql_ops={"outcomes": "jsonb_path_ops"},
            postgresql_with={"fastupdate": "off"},
        ),
    ),
    "A batch is an operator's and about many tenants. It holds ids of tenants and nothing else of them.",
    # A batch that changes tenants is remembered by the transaction that changes them, which is not the system door's.
    (TableGrant(APP_ROLE, ("INSERT",)), _KEPT, _PURGED),
    secret=True,
)

# The lines of an import until it ends. Then they are deleted.
import_lines = catalog(
    Table(
        "import_lines",
        metadata,
        Column("operation_id", Uuid, ForeignKey(mesh_operations.c.operation_id), primary_key=True),
        Column("lines", LargeBinary, nullable=False),
    ),
    "Lines of an operator about many tenants, of which some do not exist yet.",
    (_KEPT,),
    secret=True,
)
