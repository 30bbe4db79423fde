"""The tables of reservations."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["allocation_items", "allocations"]

_FORGET = (TableGrant(DIRECTORY_ROLE, ("SELECT", "DELETE")),)  # rows older than the retention

allocations = tenant_owned(
    Table(
        "allocations",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("allocation_id", Uuid, primary_key=True),
        Column("state", Text, nullable=False),
        Column("expire_time", TIMESTAMP(timezone=True), nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("requester", Text),
        Column("request_id", Uuid),
        Column("digest", Text),
        Column(
            "holder", Text, comment="who may commit and release it; null for any service, as before there were holders"
        ),
        UniqueConstraint("tenant_id", "requester", "request_id", name="allocations_request_key"),
        CheckConstraint("state in ('RESERVED', 'COMMITTED', 'RELEASED', 'EXPIRED')", name="allocations_state_check"),
        Index("allocations_expiry_idx", "expire_time", postgresql_where="state = 'RESERVED'"),
        Index("allocations_open_idx", "tenant_id", postgresql_where="state = 'RESERVED'"),
        Index("allocations_closed_idx", "expire_time", postgresql_where="state <> 'RESERVED'"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_FORGET,
)

allocation_items = tenant_owned(
    Table(
        "allocation_items",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        Column("allocation_id", Uuid, primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("period_start", TIMESTAMP(timezone=True), nullable=False),
        Column("allocated", BigInteger, nullable=False),
        Column("committed", BigInteger, nullable=False),
        ForeignKeyConstraint(["tenant_id", "allocation_id"], [allocations.c.tenant_id, allocations.c.allocation_id]),
        CheckConstraint("0 <= committed and committed <= allocated", name="allocation_items_committed_check"),
        CheckConstraint(f"allocated <= {LARGEST_AMOUNT}", name="allocation_items_range_check"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_FORGET,
)
