"""The tables of long-running operations. A job in the queue holds only the name of its row here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["mesh_operations", "operations"]

_STATES = "state in ('SCHEDULED', 'CHECKING', 'APPLYING', 'SUCCEEDED', 'FAILED', 'CANCELLED')"


def _operation_columns() -> list[Column[Any]]:
    """Return the columns of an operation besides its id and whom it belongs to."""
    return [
        Column("type", Text, nullable=False),
        Column("state", Text, nullable=False),
        Column("request", JSONB, nullable=False),
        # The type's own keys, and besides: the result, and the credential that cancelled the operation.
        Column("progress", JSONB, nullable=False),
        # A failure: its code, reason, message and metadata.
        Column("error", JSONB),
        Column("cancel_requested", Boolean, nullable=False),
        Column("actor", Text, nullable=False),
        Column("effective_time", TIMESTAMP(timezone=True), nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("end_time", TIMESTAMP(timezone=True)),
        Column("requester", Text),
        Column("request_id", Uuid),
        Column("digest", Text),
    ]


operations = tenant_owned(
    Table(
        "operations",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("operation_id", Uuid, primary_key=True),
        *_operation_columns(),
        UniqueConstraint("tenant_id", "requester", "request_id", name="operations_request_key"),
        CheckConstraint(_STATES, name="operations_state_check"),
        # One of a type at a time: a second would be decided on facts that the first is about to change.
        Index("operations_one_under_way_idx", "tenant_id", "type", unique=True, postgresql_where="end_time is null"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=(TableGrant(DIRECTORY_ROLE, ("SELECT",)),),
)

mesh_operations = catalog(
    Table(
        "mesh_operations",
        metadata,
        Column("operation_id", Uuid, primary_key=True),
        # What the operation is about, such as a tenant's name. Empty: nothing that only one may work on at a time.
        Column("subject", Text, nullable=False),
        *_operation_columns(),
        UniqueConstraint("requester", "request_id", name="mesh_operations_request_key"),
        CheckConstraint(_STATES, name="mesh_operations_state_check"),
        Index("mesh_operations_subject_idx", "subject", "operation_id"),
        Index("mesh_operations_ended_idx", "type", "end_time", postgresql_where="end_time is not null"),
        Index(
            "mesh_operations_one_under_way_idx",
            *("type", "subject"),
            unique=True,
            postgresql_where="end_time is null and subject <> ''",
        ),
    ),
    "An operation of the mesh is about many tenants, or outlives the one that it is about. Operators alone see it.",
    # Results of old imports are deleted.
    (TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT", "UPDATE", "DELETE")),),
    secret=True,
)
