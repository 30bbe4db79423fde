"""The SQL of batches and imports. Each function names its door, which the caller opens."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    Integer,
    Interval,
    Text,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
)

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, batch_of, compiled, in_batch
from tenantmesh.tenant_svc.bulk.tables import IMPORT, batch_requests, import_lines
from tenantmesh.tenant_svc.operations.tables import mesh_operations
from tenantmesh.tenant_svc.request_rows import is_of_request, request_parameters
from tenantmesh.tenant_svc.schema import SCHEMA
from tenantmesh.tenant_svc.tenants.rows import EXISTS, ROW, tenant_of
from tenantmesh.tenant_svc.tenants.tables import tenant_slugs, tenants
from tenantmesh.tenant_svc.tenants.tenant import Tenant

__all__ = [
    "children_of",
    "forget_imports",
    "forget_lines",
    "forget_requests",
    "forget_tenant",
    "keep_lines",
    "lines_of",
    "lock_tenants",
    "made_by",
    "remember",
    "tenants_by_external_ids",
    "tenants_by_ids",
    "tenants_by_slugs",
]

_ids = any_(bindparam("tenant_ids", type_=ARRAY(Uuid)))
_LOCK = compiled(select(getattr(func, SCHEMA).lock_tenants(bindparam("tenant_ids", type_=ARRAY(Uuid)))))
_REMEMBER = compiled(
    insert(batch_requests).values(
        requester=bindparam("requester"),
        request_id=bindparam("request_id"),
        digest=bindparam("digest"),
        outcomes=bindparam("outcomes"),
        create_time=func.statement_timestamp(),
    )
)
_MADE_BY = compiled(select(batch_requests.c.digest, batch_requests.c.outcomes).where(is_of_request(batch_requests)))
_old_requests = (
    batch_of(batch_requests)
    .where(batch_requests.c.create_time < func.statement_timestamp() - bindparam("keep", type_=Interval))
    .order_by(batch_requests.c.create_time)
    .limit(bindparam("size", type_=Integer))
)
_FORGET = compiled(delete(batch_requests).where(in_batch(batch_requests, _old_requests)))
_FORGET_TENANT = compiled(
    text(
        """
        UPDATE tenant.batch_requests AS b SET outcomes = (
            SELECT jsonb_agg(nullif(each.value, to_jsonb(CAST(:tenant AS text))) ORDER BY each.place)
            FROM jsonb_array_elements(b.outcomes) WITH ORDINALITY AS each (value, place)
        )
        WHERE b.outcomes @> jsonb_build_array(CAST(:tenant AS text))
        """
    ).bindparams(bindparam("tenant", type_=Text))
)
_old_imports = (
    select(mesh_operations.c.operation_id)
    .where(
        mesh_operations.c.type == literal_column(f"'{IMPORT}'"),
        mesh_operations.c.end_time < func.statement_timestamp() - bindparam("keep", type_=Interval),
    )
    .order_by(mesh_operations.c.end_time)
    .limit(bindparam("size", type_=Integer))
    .cte("old_imports")
)
_their_ids = func.array(select(_old_imports.c.operation_id).scalar_subquery())
_their_lines = delete(import_lines).where(import_lines.c.operation_id == any_(_their_ids)).cte("their_lines")
_FORGET_IMPORTS = compiled(
    delete(mesh_operations).where(mesh_operations.c.operation_id == any_(_their_ids)).add_cte(_their_lines)
)
_BY_IDS = compiled(select(*ROW).where(tenants.c.tenant_id == _ids))
_BY_SLUGS = compiled(
    select(tenant_slugs.c.slug, tenant_slugs.c.tenant_id).where(
        tenant_slugs.c.slug == any_(bindparam("slugs", type_=ARRAY(Text))),
        or_(tenant_slugs.c.resolve_until.is_(None), tenant_slugs.c.resolve_until > func.statement_timestamp()),
    )
)
_BY_EXTERNAL_IDS = compiled(
    select(*ROW).where(tenants.c.external_id == any_(bindparam("external_ids", type_=ARRAY(Text))))
)
_CHILDREN = compiled(select(tenants.c.parent_id, tenants.c.tenant_id).where(tenants.c.parent_id == _ids, EXISTS))
_KEEP_LINES = compiled(insert(import_lines).values(operation_id=bindparam("operation_id"), lines=bindparam("lines")))
_of_import = import_lines.c.operation_id == bindparam("operation_id", type_=import_lines.c.operation_id.type)
_LINES = compiled(select(import_lines.c.lines).where(_of_import))
_FORGET_LINES = compiled(delete(import_lines).where(_of_import))


# Through the door of several tenants


async def lock_tenants(connection: Connection, tenant_ids: Iterable[TenantId]) -> None:
    """Lock the rows of the tenants until this transaction ends, in the order of their ids."""
    await connection.execute(_LOCK, tenant_ids=list(tenant_ids))


# Through either door


async def remember(connection: Connection, key: RequestKey, digest: bytes, outcomes: Sequence[Any]) -> None:
    """Store what became of a batch. Raises UniqueViolation when the request has made one before."""
    await connection.execute(
        _REMEMBER,
        requester=key.requester,
        request_id=key.request_id,
        digest=digest,
        outcomes=list(outcomes),
    )


# Through the system door


async def made_by(connection: Connection, key: RequestKey) -> tuple[bytes, list[Any]] | None:
    """Return the digest of the batch that the request has made, with what became of its items; None when it has made
    none."""
    row = await connection.fetch_row(_MADE_BY, **request_parameters(key))
    return None if row is None else (row["digest"], json.loads(row["outcomes"]))


async def forget_requests(connection: Connection, keep: timedelta, size: int) -> int:
    """Delete up to `size` requests that are older, and return how many."""
    return await connection.execute(_FORGET, keep=keep, size=size)


async def forget_imports(connection: Connection, keep: timedelta, size: int) -> int:
    """Delete up to `size` imports that ended longer ago, and return how many."""
    return await connection.execute(_FORGET_IMPORTS, keep=keep, size=size)


async def forget_tenant(connection: Connection, tenant_id: TenantId) -> None:
    """Take the id of a tenant that was purged out of what batches have done."""
    await connection.execute(_FORGET_TENANT, tenant=str(tenant_id))


async def tenants_by_ids(connection: Connection, tenant_ids: Iterable[TenantId]) -> dict[TenantId, Tenant]:
    """Return those of the tenants that exist, deleted or not."""
    rows = await connection.fetch(_BY_IDS, tenant_ids=list(tenant_ids))
    return {tenant.id: tenant for tenant in map(tenant_of, rows)}


async def tenants_by_slugs(connection: Connection, slugs: Iterable[str]) -> dict[str, TenantId]:
    """Return the tenants to which the slugs lead, former ones in their time."""
    rows = await connection.fetch(_BY_SLUGS, slugs=list(slugs))
    return {row["slug"]: TenantId(row["tenant_id"]) for row in rows}


async def tenants_by_external_ids(connection: Connection, external_ids: Iterable[str]) -> dict[str, Tenant]:
    """Return the tenants that have one of the external ids, deleted or not, by it."""
    rows = await connection.fetch(_BY_EXTERNAL_IDS, external_ids=list(external_ids))
    return {tenant.profile.external_id: tenant for tenant in map(tenant_of, rows)}


async def children_of(connection: Connection, parents: Iterable[TenantId]) -> dict[TenantId, set[TenantId]]:
    """Return the tenants below each of these that are not deleted."""
    found: dict[TenantId, set[TenantId]] = {}
    for row in await connection.fetch(_CHILDREN, tenant_ids=list(parents)):
        found.setdefault(TenantId(row["parent_id"]), set()).add(TenantId(row["tenant_id"]))
    return found


async def keep_lines(connection: Connection, operation_id: uuid.UUID, lines: bytes) -> None:
    """Store the lines of an import."""
    await connection.execute(_KEEP_LINES, operation_id=operation_id, lines=lines)


async def lines_of(connection: Connection, operation_id: uuid.UUID) -> bytes:
    """Return the lines of an import; none once it has ended."""
    row = await connection.fetch_row(_LINES, operation_id=operation_id)
    return b"" if row is None else bytes(row["lines"])


async def forget_lines(connection: Connection, operation_id: uuid.UUID) -> None:
    """Delete the lines of an import."""
    await connection.execute(_FORGET_LINES, operation_id=operation_id)
