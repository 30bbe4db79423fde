"""The tables of tenants, each with the roles that may see its rows.

`tenant_app` sees the tenant that the transaction is for. `tenant_directory` reads across tenants: finding a tenant by
its name, listing all and following their events concern no single tenant. It adds several new tenants at once, and
deletes old events; it changes no tenant.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from tenantmesh.runtime.row_security import TableGrant, catalog, tenant_owned
from tenantmesh.tenant_svc.schema import APP_ROLE, DIRECTORY_ROLE, metadata

__all__ = [
    "event_horizon",
    "tenant_events",
    "tenant_requests",
    "tenant_slugs",
    "tenant_tombstones",
    "tenants",
]

_STATES = "state in ('ACTIVE', 'SUSPENDED', 'DELETED')"
_TYPES = "type in ('CREATED', 'UPDATED', 'SUSPENDED', 'RESUMED', 'DELETED', 'UNDELETED')"


def _tenant_columns() -> list[Column[object]]:
    """Return the columns of a tenant: its current state in `tenants`, its state after the event in `tenant_events`."""
    return [
        Column("slug", Text(collation="C"), nullable=False),
        Column("display_name", Text, nullable=False),
        Column("plan_id", Text, nullable=False),
        Column("plan_version", Integer, nullable=False),
        Column("state", Text, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        Column("update_time", TIMESTAMP(timezone=True), nullable=False),
        Column("version", BigInteger, nullable=False),
        # Why, by whom and since when it is suspended; null while it is not. A deleted one keeps them, to come back so.
        Column("suspend_reason", Text),
        Column("suspend_actor", Text),
        Column("suspend_time", TIMESTAMP(timezone=True)),
        *_profile_columns(),
        *_name_columns(),
        # Why and by whom it is deleted, since when, and when its data is destroyed.
        Column("delete_reason", Text),
        Column("delete_actor", Text),
        Column("delete_time", TIMESTAMP(timezone=True)),
        Column("purge_time", TIMESTAMP(timezone=True)),
    ]


def _profile_columns() -> list[Column[object]]:
    return [
        Column("labels", JSONB, nullable=False, server_default="{}"),
        Column("region", Text(collation="C"), nullable=False, server_default=""),
        Column("external_id", Text(collation="C")),
        Column("time_zone", Text, nullable=False, server_default=""),
        Column("locale", Text, nullable=False, server_default=""),
        Column("currency", Text, nullable=False, server_default=""),
        Column("contacts", JSONB, nullable=False, server_default="[]"),
        Column("parent_id", Uuid),
        Column("delete_protection", Boolean, nullable=False, server_default="false"),
    ]


def _name_columns() -> list[Column[object]]:
    """Return the columns of other names that lead to it: earlier slugs with their ends, and verified login hosts."""
    return [
        Column("former_slugs", JSONB, nullable=False, server_default="[]"),
        Column("login_hosts", ARRAY(Text(collation="C")), nullable=False, server_default="{}"),
        Column("primary_login_host", Text, nullable=False, server_default=""),
    ]


def _read_by_directory(*privileges: str) -> tuple[TableGrant, ...]:
    return (TableGrant(DIRECTORY_ROLE, ("SELECT", *privileges)),)


tenants = tenant_owned(
    Table(
        "tenants",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        *_tenant_columns(),
        # The position of the row's last event. A snapshot as of a position leaves out tenants that changed after it.
        Column("position", BigInteger, nullable=False),
        # When the destruction of its data began: then it can't be brought back.
        Column("purge_start_time", TIMESTAMP(timezone=True)),
        UniqueConstraint("external_id", name="tenants_external_id_key"),
        CheckConstraint(_STATES, name="tenants_state_check"),
        Index("tenants_parent_idx", "parent_id", postgresql_where="parent_id is not null"),
        Index("tenants_login_hosts_idx", "login_hosts", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE"),
    cross_tenant=_read_by_directory("INSERT"),  # several tenants at once
    unique_across_tenants={
        "tenants_external_id_key": "the id is the operators' own, in a system that knows all tenants; who may set it "
        "learns that it is taken, never by whom"
    },
)

# Every slug that is taken: the current ones, and the former ones, whether they still lead to their tenant or not.
tenant_slugs = tenant_owned(
    Table(
        "tenant_slugs",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("slug", Text(collation="C"), primary_key=True),
        Column("resolve_until", TIMESTAMP(timezone=True), comment="null for the current one"),
        UniqueConstraint("slug", name="tenant_slugs_slug_key"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT", "UPDATE", "DELETE"),
    cross_tenant=_read_by_directory("INSERT"),  # those of several new tenants
    unique_across_tenants={
        "tenant_slugs_slug_key": "a slug is the one global name, and its whole purpose is that no two tenants have it; "
        "who may name a tenant learns that a slug is taken, never by whom"
    },
)

# An event holds all columns of the tenant, so that it stays true when the tenant changes again.
tenant_events = tenant_owned(
    Table(
        "tenant_events",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("position", BigInteger, primary_key=True, autoincrement=False),
        Column("type", Text, nullable=False),
        Column("reason", Text, nullable=False),
        # What has happened to a name, with the type of the event. Processes of before read such an event as UPDATED.
        Column("name_change", JSONB),
        Column("event_time", TIMESTAMP(timezone=True), comment="null where the tenant's update_time says it"),
        *_tenant_columns(),
        CheckConstraint(_TYPES, name="tenant_events_type_check"),
        CheckConstraint(
            "name_change is null or (type = 'UPDATED' and event_time is not null)",
            name="tenant_events_name_change_check",
        ),
        CheckConstraint(_STATES, name="tenant_events_state_check"),
        Index("tenant_events_position_idx", "position"),  # the log is read across tenants, by position alone
    ),
    APP_ROLE,
    ("SELECT", "INSERT"),
    cross_tenant=_read_by_directory("INSERT", "DELETE"),  # of several new tenants; older than the retention
)

# The request that made a tenant. The tenant owns the row, so it is written through the tenant's door. A caller that
# repeats a request does not know the tenant, so the key is the caller's, global, and read through the directory's door.
tenant_requests = tenant_owned(
    Table(
        "tenant_requests",
        metadata,
        Column("tenant_id", Uuid, ForeignKey(tenants.c.tenant_id), primary_key=True),
        Column("requester", Text, nullable=False),
        Column("request_id", Uuid, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("create_time", TIMESTAMP(timezone=True), nullable=False),
        UniqueConstraint("requester", "request_id", name="tenant_requests_request_key"),
    ),
    APP_ROLE,
    ("SELECT", "INSERT"),
    cross_tenant=_read_by_directory(),
    unique_across_tenants={
        "tenant_requests_request_key": "a request id is the caller's, and shows to that caller alone that it was sent"
    },
)

event_horizon = catalog(
    Table(
        "event_horizon",
        metadata,
        Column("singleton", Boolean, primary_key=True),
        Column("pruned_through", BigInteger, nullable=False),
        CheckConstraint("singleton", name="event_horizon_singleton_check"),
    ),
    "Up to which position events have been forgotten, over all tenants: one row, made by the migration.",
    (TableGrant(DIRECTORY_ROLE, ("SELECT",)), TableGrant(DIRECTORY_ROLE, ("UPDATE",), ("pruned_through",))),
    secret=True,
)

# What remains of a tenant that was purged: the event PURGED, for processes that were away. A position that was once the
# last of a log must not be beyond its end: the events of the tenant are gone, and so the ends of both logs count this.
tenant_tombstones = catalog(
    Table(
        "tenant_tombstones",
        metadata,
        Column("tenant_id", Uuid, primary_key=True),
        Column("position", BigInteger, nullable=False),
        Column("purge_time", TIMESTAMP(timezone=True), nullable=False),
        UniqueConstraint("position", name="tenant_tombstones_position_key"),
    ),
    "The id of a tenant that was purged outlives it: a process that was away must learn that the tenant is gone.",
    (TableGrant(DIRECTORY_ROLE, ("SELECT", "INSERT")),),
    secret=True,
)
