"""The table of changes of tenants' entitlements."""

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
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["entitlement_events"]

_EVENT_TYPES = (
    "type in ('PLAN_CHANGED', 'OVERRIDE_SET', 'OVERRIDE_CLEARED', 'GRANT_CREATED', 'GRANT_VOIDED', 'LIMIT_CROSSED', "
    "'TENANT_DELETED', 'TENANT_UNDELETED')"
)

# The history of a tenant's entitlements and the log that watches follow. Positions are drawn like those of tenant
# events, under the same lock, so that one order covers both.
entitlement_events = tenant_owned(
    Table(
        "entitlement_events",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        # Counts the tenant's own events; a trigger sets it where the statement does not. Positions count everybody's,
        # so no user sees one.
        Column("number", BigInteger, nullable=False),
        Column("type", Text, nullable=False),
        Column("feature_id", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("reason", Text, nullable=False),
        Column("before", Text, nullable=False),
        Column("after", Text, nullable=False),
        Column("plan_id", Text, nullable=False),
        Column("plan_version", Integer, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        UniqueConstraint("tenant_id", "number", name="entitlement_events_number_key"),
        CheckConstraint(_EVENT_TYPES, name="entitlement_events_type_check"),
        Index("entitlement_events_position_idx", "position"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT"),
    cross_tenant=(TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT")),),  # the first plans of several new tenants
)
