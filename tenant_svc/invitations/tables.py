"""The outbox of invitations. A row is there from the creation of its tenant until the invitation is delivered."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["invitation_requests"]

invitation_requests = tenant_owned(
    Table(
        "invitation_requests",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("invitation_request_id", Uuid, primary_key=True),
        Column("email", Text, nullable=False),
        Column("role", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Index("invitation_requests_id_idx", "invitation_request_id"),  # operators list those of all tenants
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "DELETE"),
    # Operators read what waits in any tenant, and create and delete many tenants at once.
    cross_tenant=(TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT", "DELETE")),),
)
