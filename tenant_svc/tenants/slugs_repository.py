"""The SQL of the slugs that are taken. All of it goes through the tenant's door, which the caller opens."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Interval, bindparam, delete, func, insert, null, select, update

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, compiled
from tenantmesh.tenant_svc.tenants.tables import tenant_slugs

__all__ = ["end_slug", "now", "release_slugs", "retire_slug", "slugs_of", "take_slug"]

_own_slug = (
    tenant_slugs.c.tenant_id == bindparam("tenant_id", type_=tenant_slugs.c.tenant_id.type),
    tenant_slugs.c.slug == bindparam("own_slug"),
)
_TAKE_BACK = compiled(update(tenant_slugs).where(*_own_slug).values(resolve_until=null()))
_TAKE_SLUG = compiled(insert(tenant_slugs).values(tenant_id=bindparam("tenant_id"), slug=bindparam("slug")))
_RETIRE_SLUG = compiled(
    update(tenant_slugs)
    .where(*_own_slug)
    .values(resolve_until=func.statement_timestamp() + bindparam("grace", type_=Interval))
    .returning(tenant_slugs.c.resolve_until)
)
_END_SLUG = compiled(update(tenant_slugs).where(*_own_slug).values(resolve_until=func.statement_timestamp()))
_NOW = compiled(select(func.statement_timestamp().label("now")))
_SLUGS = compiled(
    select(tenant_slugs.c.slug, tenant_slugs.c.resolve_until)
    .where(tenant_slugs.c.tenant_id == bindparam("tenant_id", type_=tenant_slugs.c.tenant_id.type))
    .order_by(tenant_slugs.c.resolve_until, tenant_slugs.c.slug)
)
_RELEASE_SLUGS = compiled(
    delete(tenant_slugs).where(tenant_slugs.c.tenant_id == bindparam("tenant_id", type_=tenant_slugs.c.tenant_id.type))
)


async def take_slug(connection: Connection, tenant_id: TenantId, slug: str) -> None:
    """Make the slug the tenant's, or its current one again. Raises UniqueViolation when another tenant has it."""
    if not await connection.execute(_TAKE_BACK, tenant_id=tenant_id, own_slug=slug):
        await connection.execute(_TAKE_SLUG, tenant_id=tenant_id, slug=slug)


async def retire_slug(connection: Connection, tenant_id: TenantId, slug: str, grace: timedelta) -> datetime:
    """Let the slug lead to the tenant for the grace only, and return its end. It stays the tenant's."""
    row = await connection.fetch_row(_RETIRE_SLUG, tenant_id=tenant_id, own_slug=slug, grace=grace)
    if row is None:
        raise LookupError("a tenant's slug is missing among the slugs that are taken")
    until: datetime = row["resolve_until"]
    return until


async def end_slug(connection: Connection, tenant_id: TenantId, slug: str) -> None:
    """Let the slug lead to the tenant no longer. It stays the tenant's, if it is."""
    await connection.execute(_END_SLUG, tenant_id=tenant_id, own_slug=slug)


async def now(connection: Connection) -> datetime:
    """Return the database's clock."""
    row = await connection.fetch_row(_NOW)
    if row is None:
        raise LookupError("the database returned no time")
    moment: datetime = row["now"]
    return moment


async def slugs_of(connection: Connection, tenant_id: TenantId) -> list[tuple[str, datetime | None]]:
    """Return every slug that is the tenant's, and until when a former one leads to it; None for the current one."""
    return [(row["slug"], row["resolve_until"]) for row in await connection.fetch(_SLUGS, tenant_id=tenant_id)]


async def release_slugs(connection: Connection, tenant_id: TenantId) -> None:
    """Let other tenants have every slug of this one."""
    await connection.execute(_RELEASE_SLUGS, tenant_id=tenant_id)
