"""The tables of one tenant's differences from its plan."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from tenantmesh.chassis.moments import accepted_time
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["overrides", "plan_terms"]

_READ = (TableGrant(DIRECTORY_ROLE, ("SELECT",)),)

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
        accepted_time("overrides", "expire_time"),
        CheckConstraint(
            f"0 <= (value -> 'limit')::numeric and (value -> 'limit')::numeric <= {LARGEST_AMOUNT}",
            name="overrides_limit_check",
        ),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
    cross_tenant=_READ,
)

# The terms of a tenant's last plan change, while they matter: the over-limit policy, and the plans whose limits still
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
        accepted_time("plan_terms", "grace_until"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
    cross_tenant=_READ,
)
