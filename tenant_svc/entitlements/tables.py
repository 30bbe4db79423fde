"""The tables of entitlements: what differs from the plan for one tenant, and the log of every change."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import Grant, catalog, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["catalog_events", "entitlement_events", "grants", "overrides", "plan_terms"]

_READ = (Grant(DIRECTORY_ROLE, ("SELECT",)),)

overrides = tenant_owned(
    Table(
        "overrides",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("feature_id", Text(collation="C"), primary_key=True),
        Column("value", JSONB, nullable=False),
        Column("reason", Text, nullable=False),
        Column("expire_time", TIMESTAMP(timezone=True)),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
    cross_tenant=_READ,
)

# `balance` is what is left as of the period that began at `balance_period`; later periods apply the rollover to it.
grants = tenant_owned(
    Table(
        "grants",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("grant_id", Uuid, primary_key=True),
        Column("feature_id", Text(collation="C"), nullable=False),
        Column("amount", BigInteger, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("effective_time", TIMESTAMP(timezone=True), nullable=False),
        Column("expire_time", TIMESTAMP(timezone=True)),
        Column("max_rollover", BigInteger, nullable=False),
        Column("min_rollover", BigInteger, nullable=False),
        Column("reason", Text, nullable=False),
        Column("balance", BigInteger, nullable=False),
        Column("balance_period", TIMESTAMP(timezone=True), nullable=False),
        Column("void_time", TIMESTAMP(timezone=True)),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("requester", Text),
        Column("request_id", Uuid),
        Column("digest", Text),
        UniqueConstraint("tenant_id", "requester", "request_id", name="grants_request_key"),
        CheckConstraint("amount > 0 and balance >= 0", name="grants_amount_check"),
        CheckConstraint("0 <= min_rollover and min_rollover <= max_rollover", name="grants_rollover_check"),
        Index("grants_feature_idx", "tenant_id", "feature_id"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_READ,
)

# How a tenant came to its plan, where that still matters: what happens over a limit, and the plans whose limits still
# hold, as `[{"id": "premium", "version": 1}]`.
plan_terms = tenant_owned(
    Table(
        "plan_terms",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("over_limit_policy", Text, nullable=False),
        Column("grace_until", TIMESTAMP(timezone=True)),
        Column("grace_plans", JSONB, nullable=False),
        CheckConstraint("over_limit_policy in ('REJECT', 'GRACE', 'READ_ONLY')", name="plan_terms_policy_check"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
    cross_tenant=_READ,
)

_EVENT_TYPES = (
    "type in ('PLAN_CHANGED', 'OVERRIDE_SET', 'OVERRIDE_CLEARED', 'GRANT_CREATED', 'GRANT_VOIDED', 'LIMIT_CROSSED')"
)

# The history of a tenant's entitlements and the log that watches follow. Positions are drawn as those of tenant events,
# under the same lock, so that one order holds over all.
entitlement_events = tenant_owned(
    Table(
        "entitlement_events",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("type", Text, nullable=False),
        Column("feature_id", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("before", Text, nullable=False),
        Column("after", Text, nullable=False),
        Column("plan_id", Text, nullable=False),
        Column("plan_version", Integer, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        CheckConstraint(_EVENT_TYPES, name="entitlement_events_type_check"),
        Index("entitlement_events_position_idx", "position"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT"),
    cross_tenant=_READ,
)

catalog_events = catalog(
    Table(
        "catalog_events",
        metadata,
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("feature_id", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("before", Text, nullable=False),
        Column("after", Text, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
    ),
    "A feature's rollout changes for every tenant at once, and says nothing about any.",
    (Grant(APP_ROLE, ("SELECT",)), Grant(DIRECTORY_ROLE, ("SELECT", "INSERT"))),
    secret=True,
)
