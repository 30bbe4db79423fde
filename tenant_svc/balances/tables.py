"""The tables of quotas: the ledger of allowances, reservations, and levels."""

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

from tenantmesh.runtime.row_security import Grant, tenant_owned
from tenantmesh.tenant_svc.entitlements.tables import grants
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["allocation_items", "allocations", "gauge_adjustments", "gauges", "grant_burns", "ledger"]

_READ = (Grant(DIRECTORY_ROLE, ("SELECT",)),)
_FORGET = (Grant(DIRECTORY_ROLE, ("SELECT", "DELETE")),)  # what is older than is promised

# What has been given out of an allowance in a period. `from_plan` of it came from the plan, the rest from grants.
ledger = tenant_owned(
    Table(
        "quota_ledger",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("period_start", TIMESTAMP(timezone=True), primary_key=True),
        Column("given", BigInteger, nullable=False),
        Column("from_plan", BigInteger, nullable=False),
        Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        CheckConstraint("0 <= from_plan and from_plan <= given", name="quota_ledger_given_check"),
        Index("quota_ledger_period_idx", "period_start"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_FORGET,
)

# What a grant has given in a period: by this a return finds its way back.
grant_burns = tenant_owned(
    Table(
        "grant_burns",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        Column("grant_id", Uuid, primary_key=True),
        Column("period_start", TIMESTAMP(timezone=True), primary_key=True),
        Column("amount", BigInteger, nullable=False),
        ForeignKeyConstraint(["tenant_id", "grant_id"], [grants.c.tenant_id, grants.c.grant_id]),
        CheckConstraint("amount >= 0", name="grant_burns_amount_check"),
        Index("grant_burns_period_idx", "period_start"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_FORGET,
)

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
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_FORGET,
)

# `reported` levels belong to another service, which limits them in its own transactions; `version` is that service's.
gauges = tenant_owned(
    Table(
        "gauges",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("level", BigInteger, nullable=False),
        Column("reported_version", BigInteger),
        Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        CheckConstraint("level >= 0", name="gauges_level_check"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_READ,
)

# A requester of '' is everybody: whose key it was is not known from before keys had requesters.
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
    cross_tenant=_FORGET,
)
