"""The SQL of finding tenants, across tenants: all of it goes through the system door, which the caller opens."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from enum import Enum

from sqlalchemy import ARRAY, Integer, Uuid, any_, bindparam, literal, select

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Connection, compiled
from tenantmesh.tenant_svc.request_rows import is_of_request, request_parameters
from tenantmesh.tenant_svc.tenants.rows import EXISTS, LEADS, ROW, THIS_TENANT, maybe_tenant, tenant_of
from tenantmesh.tenant_svc.tenants.tables import tenant_requests, tenant_slugs, tenants
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = [
    "ParentState",
    "by_host",
    "by_id",
    "by_slug",
    "has_children",
    "holder_of",
    "made_by",
    "not_deleted",
    "parent_of",
    "slug_taken",
    "unchanged_since",
]


class ParentState(Enum):
    """The state of a tenant's parent. SERVED includes suspended ones; DELETED ones can be brought back."""

    SERVED = "SERVED"
    DELETED = "DELETED"
    NONE = "NONE"


_BY_ID = compiled(select(*ROW).where(THIS_TENANT))
_BY_SLUG = compiled(
    select(*ROW)
    .join(tenant_slugs, tenant_slugs.c.tenant_id == tenants.c.tenant_id)
    .where(tenant_slugs.c.slug == bindparam("slug"), LEADS)
)
_BY_HOST = compiled(
    select(*ROW).where(tenants.c.login_hosts.contains(bindparam("hosts", type_=tenants.c.login_hosts.type)), EXISTS)
)
_SLUG_TAKEN = compiled(select(tenant_slugs.c.slug).where(tenant_slugs.c.slug == bindparam("slug")))
_EXTERNAL_ID_TAKEN = compiled(select(tenants.c.tenant_id).where(tenants.c.external_id == bindparam("external_id")))
_HAS_CHILDREN = compiled(
    select(literal(value=True))
    .where(tenants.c.parent_id == bindparam("parent_id", type_=tenants.c.parent_id.type), EXISTS)
    .limit(1)
)
_NOT_DELETED = compiled(
    select(tenants.c.tenant_id).where(tenants.c.tenant_id == any_(bindparam("tenant_ids", type_=ARRAY(Uuid))), EXISTS)
)
_parents = tenants.alias("parents")
_PARENT_OF = compiled(
    select(_parents.c.state)
    .join(tenants, tenants.c.parent_id == _parents.c.tenant_id)
    .where(THIS_TENANT, _parents.c.purge_start_time.is_(None))
)
_after_tenant = tenants.c.tenant_id > bindparam("after", type_=tenants.c.tenant_id.type)
_UNCHANGED_SINCE = compiled(
    select(*ROW)
    .where(_after_tenant, EXISTS, tenants.c.position <= bindparam("position"))
    .order_by(tenants.c.tenant_id)
    .limit(bindparam("size", type_=Integer))
)
_MADE_BY = compiled(
    select(tenant_requests.c.digest, *ROW)
    .join(tenants, tenants.c.tenant_id == tenant_requests.c.tenant_id)
    .where(is_of_request(tenant_requests))
)


async def by_id(connection: Connection, tenant_id: uuid.UUID) -> Tenant | None:
    """Return the tenant, deleted or not, for callers that are not bound to a tenant."""
    return maybe_tenant(await connection.fetch_row(_BY_ID, tenant_id=tenant_id))


async def by_slug(connection: Connection, slug: str) -> Tenant | None:
    """Return the tenant, deleted or not, to which the slug leads: its current one, or a former one in its time."""
    return maybe_tenant(await connection.fetch_row(_BY_SLUG, slug=slug))


async def by_host(connection: Connection, host: str) -> Tenant | None:
    """Return the tenant that is served at the host, which it has proven; None without one."""
    return maybe_tenant(await connection.fetch_row(_BY_HOST, hosts=[host]))


async def slug_taken(connection: Connection, slug: str) -> bool:
    """Return whether a tenant has the slug, now or from before. A deleted tenant keeps its slugs until
    it is purged, unless its deletion released them."""
    return await connection.fetch_row(_SLUG_TAKEN, slug=slug) is not None


async def holder_of(connection: Connection, external_id: str) -> TenantId | None:
    """Return the tenant that has the external id, deleted or not; None without one."""
    row = await connection.fetch_row(_EXTERNAL_ID_TAKEN, external_id=external_id)
    return None if row is None else TenantId(row["tenant_id"])


async def has_children(connection: Connection, tenant_id: TenantId) -> bool:
    """Return whether a tenant that is not deleted has this one as its parent."""
    return await connection.fetch_row(_HAS_CHILDREN, parent_id=tenant_id) is not None


async def not_deleted(connection: Connection, tenant_ids: Iterable[TenantId]) -> frozenset[TenantId]:
    """Return those of the tenants that exist and are not deleted."""
    rows = await connection.fetch(_NOT_DELETED, tenant_ids=list(tenant_ids))
    return frozenset(TenantId(row["tenant_id"]) for row in rows)


async def parent_of(connection: Connection, tenant_id: TenantId) -> ParentState:
    """Return the state of the tenant's parent. One that is being purged, or was, is none."""
    row = await connection.fetch_row(_PARENT_OF, tenant_id=tenant_id)
    if row is None:
        return ParentState.NONE
    return ParentState.DELETED if row["state"] == TenantState.DELETED.value else ParentState.SERVED


async def unchanged_since(connection: Connection, position: int, after: uuid.UUID, size: int) -> list[Tenant]:
    """Return the tenants after that id, ordered by id, without those that have an event after the position."""
    rows = await connection.fetch(_UNCHANGED_SINCE, position=position, after=after, size=size)
    return [tenant_of(row) for row in rows]


async def made_by(connection: Connection, key: RequestKey) -> tuple[bytes, Tenant] | None:
    """Return the tenant that the request has made, with the digest of the request's fields; None when it has made
    none."""
    row = await connection.fetch_row(_MADE_BY, **request_parameters(key))
    return None if row is None else (row["digest"], tenant_of(row))
