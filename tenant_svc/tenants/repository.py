"""The SQL of tenants, and nothing else. Each group of statements names its door, which the caller opens.

Queries of the tenant door name the tenant although row security does: two guards, and the index that serves both.
"""

from __future__ import annotations

import uuid

from sqlalchemy import ColumnElement, Integer, bindparam, func, insert, literal, null, select, update

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.positions import positions
from tenantmesh.tenant_svc.request_rows import is_of_request, request_parameters
from tenantmesh.tenant_svc.tenants.tables import tenant_events, tenant_requests, tenants
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Suspension, Tenant

__all__ = [
    "EVENTS_CHANNEL",
    "FIELDS",
    "by_id",
    "by_slug",
    "create",
    "get",
    "get_locked",
    "made_by",
    "page",
    "record_event",
    "remember_request",
    "resume",
    "set_plan",
    "slug_taken",
    "suspend",
    "tenant_of",
    "unchanged_since",
]

EVENTS_CHANNEL = "tenant_events"
"""Notified, without content, by every transaction that writes an event."""

FIELDS = (
    *("slug", "display_name", "plan_id", "plan_version", "state", "create_time", "update_time", "version"),
    *("suspend_reason", "suspend_actor", "suspend_time"),
)
"""The columns of a tenant, which its events have too."""
_row = (tenants.c.tenant_id, *(tenants.c[name] for name in FIELDS))
_this_tenant = tenants.c.tenant_id == bindparam("tenant_id", type_=tenants.c.tenant_id.type)
_exists: ColumnElement[bool] = tenants.c.state != literal("DELETED")


def tenant_of(row: Record) -> Tenant:
    """Return the tenant in a row of either table."""
    suspended = row["state"] == TenantState.SUSPENDED.value and row["suspend_time"] is not None
    return Tenant(
        TenantId(row["tenant_id"]),
        row["slug"],
        row["display_name"],
        row["plan_id"],
        row["plan_version"],
        TenantState(row["state"]),
        row["create_time"],
        row["update_time"],
        row["version"],
        Suspension(row["suspend_reason"], row["suspend_actor"], row["suspend_time"]) if suspended else None,
    )


def _maybe(row: Record | None) -> Tenant | None:
    return None if row is None else tenant_of(row)


def _stored(row: Record | None) -> Tenant:
    if row is None:
        raise LookupError("a tenant that this transaction has stored or locked is missing")
    return tenant_of(row)


# Through the tenant's door

_GET_LOCKED = compiled(select(*_row).where(_this_tenant, _exists).with_for_update(key_share=True))
_INSERT = compiled(
    insert(tenants)
    .values(
        tenant_id=bindparam("tenant_id"),
        slug=bindparam("slug"),
        display_name=bindparam("display_name"),
        plan_id=bindparam("plan_id"),
        plan_version=bindparam("plan_version"),
        state="ACTIVE",
        create_time=func.statement_timestamp(),
        update_time=func.statement_timestamp(),
        version=1,
        position=positions.next_value(),
    )
    .returning(*_row)
)
_INSERT_REQUEST = compiled(
    insert(tenant_requests).values(
        tenant_id=bindparam("tenant_id"),
        requester=bindparam("requester"),
        request_id=bindparam("request_id"),
        digest=bindparam("digest"),
        create_time=func.statement_timestamp(),
    )
)
_change = (
    update(tenants)
    .where(_this_tenant)
    .values(update_time=func.statement_timestamp(), version=tenants.c.version + 1, position=positions.next_value())
    .returning(*_row)
)
_SUSPEND = compiled(
    _change.values(
        state=TenantState.SUSPENDED.value,
        suspend_reason=bindparam("new_reason"),
        suspend_actor=bindparam("new_actor"),
        suspend_time=func.statement_timestamp(),
    )
)
_RESUME = compiled(
    _change.values(state=TenantState.ACTIVE.value, suspend_reason=null(), suspend_actor=null(), suspend_time=null())
)
_SET_PLAN = compiled(_change.values(plan_id=bindparam("new_plan_id"), plan_version=bindparam("new_plan_version")))
_RECORD_EVENT = compiled(
    insert(tenant_events)
    .from_select(
        ["tenant_id", "position", "type", "reason", *FIELDS],
        select(
            tenants.c.tenant_id,
            tenants.c.position,
            bindparam("type", type_=tenant_events.c.type.type),
            bindparam("reason", type_=tenant_events.c.reason.type),
            *(tenants.c[name] for name in FIELDS),
        ).where(_this_tenant),
    )
    .returning(func.pg_notify(EVENTS_CHANNEL, ""))
)


async def get(doors: Doors, tenant_id: TenantId) -> Tenant | None:
    """Return the tenant, in one message; None when it is deleted or never existed."""
    rows = await doors.read(tenant_id, "read_tenant")
    return tenant_of(rows[0]) if rows else None


async def get_locked(connection: Connection, tenant_id: TenantId) -> Tenant | None:
    """Return the tenant as `get` does, and lock its row until this transaction ends."""
    return _maybe(await connection.fetch_row(_GET_LOCKED, tenant_id=tenant_id))


async def create(connection: Connection, tenant_id: TenantId, new: NewTenant, plan_version: int) -> Tenant:
    """Store the tenant, pinned to that version of its plan. Call after `lock_log`. Raises UniqueViolation when the slug
    is taken."""
    row = await connection.fetch_row(
        _INSERT,
        tenant_id=tenant_id,
        slug=new.slug,
        display_name=new.display_name,
        plan_id=new.plan_id,
        plan_version=plan_version,
    )
    return _stored(row)


async def remember_request(connection: Connection, tenant_id: TenantId, key: RequestKey, digest: bytes) -> None:
    """Store the request that made the tenant. Raises UniqueViolation when the request has made one before."""
    await connection.execute(
        _INSERT_REQUEST, tenant_id=tenant_id, requester=key.requester, request_id=key.request_id, digest=digest
    )


async def suspend(connection: Connection, tenant_id: TenantId, reason: str, actor: str) -> Tenant:
    """Store that the tenant is suspended, and return the changed tenant. Call after `lock_log`."""
    return _stored(await connection.fetch_row(_SUSPEND, tenant_id=tenant_id, new_reason=reason, new_actor=actor))


async def resume(connection: Connection, tenant_id: TenantId) -> Tenant:
    """Store that the tenant is served again, and return the changed tenant. Call after `lock_log`."""
    return _stored(await connection.fetch_row(_RESUME, tenant_id=tenant_id))


async def set_plan(connection: Connection, tenant_id: TenantId, plan_id: str, version: int) -> Tenant:
    """Store the plan version that the tenant pins, and return the changed tenant. Call after `lock_log`."""
    row = await connection.fetch_row(_SET_PLAN, tenant_id=tenant_id, new_plan_id=plan_id, new_plan_version=version)
    return _stored(row)


async def record_event(connection: Connection, tenant_id: TenantId, kind: str, reason: str = "") -> None:
    """Append the tenant's current row to the log, at the position that the row has drawn. Listeners are notified when
    this transaction commits."""
    await connection.execute(_RECORD_EVENT, tenant_id=tenant_id, type=kind, reason=reason)


# Through the system door, across tenants

_BY_ID = compiled(select(*_row).where(_this_tenant, _exists))
_BY_SLUG = compiled(select(*_row).where(tenants.c.slug == bindparam("slug"), _exists))
_SLUG_TAKEN = compiled(select(tenants.c.slug).where(tenants.c.slug == bindparam("slug")))
_after_tenant = tenants.c.tenant_id > bindparam("after", type_=tenants.c.tenant_id.type)
_LIST = compiled(
    select(*_row).where(_after_tenant, _exists).order_by(tenants.c.tenant_id).limit(bindparam("size", type_=Integer))
)
_UNCHANGED_SINCE = compiled(
    select(*_row)
    .where(_after_tenant, _exists, tenants.c.position <= bindparam("position"))
    .order_by(tenants.c.tenant_id)
    .limit(bindparam("size", type_=Integer))
)
_MADE_BY = compiled(
    select(tenant_requests.c.digest, *_row)
    .join(tenants, tenants.c.tenant_id == tenant_requests.c.tenant_id)
    .where(is_of_request(tenant_requests))
)


async def by_id(connection: Connection, tenant_id: uuid.UUID) -> Tenant | None:
    """Return the tenant as `get` does, for callers that are not bound to a tenant."""
    return _maybe(await connection.fetch_row(_BY_ID, tenant_id=tenant_id))


async def by_slug(connection: Connection, slug: str) -> Tenant | None:
    """Return the tenant of that slug; None when it is deleted or never existed."""
    return _maybe(await connection.fetch_row(_BY_SLUG, slug=slug))


async def slug_taken(connection: Connection, slug: str) -> bool:
    """Return whether a tenant has the slug. A deleted tenant keeps it until it is purged."""
    return await connection.fetch_row(_SLUG_TAKEN, slug=slug) is not None


async def page(connection: Connection, after: uuid.UUID, size: int) -> list[Tenant]:
    """Return the tenants after that id, ordered by id. Ids are UUIDv7s, so the oldest come first."""
    return [tenant_of(row) for row in await connection.fetch(_LIST, after=after, size=size)]


async def unchanged_since(connection: Connection, position: int, after: uuid.UUID, size: int) -> list[Tenant]:
    """Return tenants as `page` does, without those that have an event after the position."""
    rows = await connection.fetch(_UNCHANGED_SINCE, position=position, after=after, size=size)
    return [tenant_of(row) for row in rows]


async def made_by(connection: Connection, key: RequestKey) -> tuple[bytes, Tenant] | None:
    """Return the tenant that the request has made, with the digest of the request's fields; None when it has made
    none."""
    row = await connection.fetch_row(_MADE_BY, **request_parameters(key))
    return None if row is None else (row["digest"], tenant_of(row))
