"""The SQL of one tenant. All of it goes through the tenant's door, which the caller opens.

Queries name the tenant although row security does: two guards, and the index that serves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import (
    Interval,
    Text,
    bindparam,
    case,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    update,
)

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.positions import positions
from tenantmesh.tenant_svc.tenants.name_change import NameChange
from tenantmesh.tenant_svc.tenants.rows import (
    EXISTS,
    FIELDS,
    ROW,
    THIS_TENANT,
    former_slug_values,
    maybe_tenant,
    profile_values,
    tenant_of,
)
from tenantmesh.tenant_svc.tenants.tables import tenant_events, tenant_requests, tenants
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = [
    "EVENTS_CHANNEL",
    "change",
    "get",
    "get_locked",
    "get_locked_deleted",
    "mark_deleted",
    "mark_undeleted",
    "record_event",
    "record_name_change",
    "remember_request",
    "resume",
    "set_login_hosts",
    "set_plan",
    "suspend",
]

EVENTS_CHANNEL = "tenant_events"
"""Notified, without content, by every transaction that writes an event."""


def _stored(row: Record | None) -> Tenant:
    if row is None:
        raise LookupError("a tenant that this transaction has stored or locked is missing")
    return tenant_of(row)


_PROFILE = {
    name: bindparam(f"new_{name}", type_=tenants.c[name].type)
    for name in (
        *("labels", "region", "external_id", "time_zone", "locale", "currency", "contacts", "parent_id"),
        "delete_protection",
    )
}
_GET_LOCKED = compiled(select(*ROW).where(THIS_TENANT, EXISTS).with_for_update(key_share=True))
_GET_LOCKED_DELETED = compiled(
    select(tenants.c.purge_start_time, *ROW).where(THIS_TENANT).with_for_update(key_share=True)
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
    .where(THIS_TENANT)
    .values(update_time=func.statement_timestamp(), version=tenants.c.version + 1, position=positions.next_value())
    .returning(*ROW)
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
_UPDATE = compiled(
    _change.values(
        slug=bindparam("new_slug"),
        display_name=bindparam("new_display_name"),
        former_slugs=bindparam("new_former_slugs", type_=tenants.c.former_slugs.type),
        **_PROFILE,
    )
)
_DELETE = compiled(
    _change.values(
        state=TenantState.DELETED.value,
        # Of the first time, where a deleted tenant is deleted again.
        delete_reason=func.coalesce(tenants.c.delete_reason, bindparam("new_reason", type_=Text)),
        delete_actor=func.coalesce(tenants.c.delete_actor, bindparam("new_actor", type_=Text)),
        delete_time=func.coalesce(tenants.c.delete_time, func.statement_timestamp()),
        purge_time=func.coalesce(func.statement_timestamp() + bindparam("grace", type_=Interval), tenants.c.purge_time),
        login_hosts=literal_column("'{}'::text[]"),
        primary_login_host="",
    )
)
_UNDELETE = compiled(
    _change.values(
        state=case((tenants.c.suspend_time.is_not(None), TenantState.SUSPENDED.value), else_=TenantState.ACTIVE.value),
        slug=bindparam("new_slug"),
        former_slugs=bindparam("new_former_slugs", type_=tenants.c.former_slugs.type),
        parent_id=bindparam("new_parent_id", type_=tenants.c.parent_id.type),
        delete_reason=null(),
        delete_actor=null(),
        delete_time=null(),
        purge_time=null(),
    )
)
_SET_PLAN = compiled(_change.values(plan_id=bindparam("new_plan_id"), plan_version=bindparam("new_plan_version")))
_SET_LOGIN_HOSTS = compiled(
    _change.values(
        login_hosts=bindparam("new_login_hosts", type_=tenants.c.login_hosts.type),
        primary_login_host=bindparam("new_primary_login_host"),
    )
)
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
        ).where(THIS_TENANT),
    )
    .returning(func.pg_notify(EVENTS_CHANNEL, ""))
)
# The tenant itself does not change: its row keeps its position, so that the event has one of its own.
_RECORD_NAME_CHANGE = compiled(
    insert(tenant_events)
    .from_select(
        ["tenant_id", "position", "type", "reason", "name_change", "event_time", *FIELDS],
        select(
            tenants.c.tenant_id,
            positions.next_value(),
            literal("UPDATED"),
            literal(""),
            bindparam("name_change", type_=tenant_events.c.name_change.type),
            func.statement_timestamp(),
            *(tenants.c[name] for name in FIELDS),
        ).where(THIS_TENANT),
    )
    .returning(func.pg_notify(EVENTS_CHANNEL, ""))
)


async def get(doors: Doors, tenant_id: TenantId) -> Tenant | None:
    """Return the tenant, deleted or not, in one message; None when it never existed."""
    rows = await doors.read(tenant_id, "tenant_row")
    return tenant_of(rows[0]) if rows else None


async def get_locked(connection: Connection, tenant_id: TenantId) -> Tenant | None:
    """Return the tenant, and lock its row until this transaction ends; None when it is deleted or never existed."""
    return maybe_tenant(await connection.fetch_row(_GET_LOCKED, tenant_id=tenant_id))


async def get_locked_deleted(connection: Connection, tenant_id: TenantId) -> tuple[Tenant, bool] | None:
    """Return the tenant as `get_locked` does, a deleted one too, and whether the destruction of its data has begun."""
    row = await connection.fetch_row(_GET_LOCKED_DELETED, tenant_id=tenant_id)
    return None if row is None else (tenant_of(row), row["purge_start_time"] is not None)


async def change(connection: Connection, changed: Tenant) -> Tenant:
    """Store slug, display name, former slugs and profile, and return the changed tenant. Call after `lock_log`. Raises
    UniqueViolation when the external id is taken."""
    row = await connection.fetch_row(
        _UPDATE,
        tenant_id=changed.id,
        new_slug=changed.slug,
        new_display_name=changed.display_name,
        new_former_slugs=former_slug_values(changed.former_slugs),
        **profile_values(changed.profile),
    )
    return _stored(row)


async def mark_deleted(
    connection: Connection, tenant_id: TenantId, reason: str, actor: str, grace: timedelta | None
) -> Tenant:
    """Store that the tenant is deleted, to be purged after the grace; without one, when it was to be purged before. It
    keeps reason, actor and time of its first deletion. Call after `lock_log`."""
    row = await connection.fetch_row(_DELETE, tenant_id=tenant_id, new_reason=reason, new_actor=actor, grace=grace)
    return _stored(row)


async def mark_undeleted(connection: Connection, back: Tenant) -> Tenant:
    """Store that the tenant is back, suspended if it was, with these slugs and this parent. Call after `lock_log`."""
    row = await connection.fetch_row(
        _UNDELETE,
        tenant_id=back.id,
        new_slug=back.slug,
        new_former_slugs=former_slug_values(back.former_slugs),
        new_parent_id=back.profile.parent_id,
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


async def set_login_hosts(connection: Connection, tenant_id: TenantId, hosts: Sequence[str], primary: str) -> None:
    """Store the hosts at which the tenant is served, and the primary one or an empty text. Call after `lock_log`."""
    await connection.execute(
        _SET_LOGIN_HOSTS, tenant_id=tenant_id, new_login_hosts=list(hosts), new_primary_login_host=primary
    )


async def record_event(connection: Connection, tenant_id: TenantId, kind: str, reason: str = "") -> None:
    """Append the tenant's current row to the log, at the position that the row has drawn. Listeners are notified when
    this transaction commits."""
    await connection.execute(_RECORD_EVENT, tenant_id=tenant_id, type=kind, reason=reason)


async def record_name_change(connection: Connection, tenant_id: TenantId, change: NameChange) -> None:
    """Append a change of one of the tenant's names to the log, as `record_event`. Call after `lock_log`."""
    await connection.execute(_RECORD_NAME_CHANGE, tenant_id=tenant_id, name_change=change.to_json())
