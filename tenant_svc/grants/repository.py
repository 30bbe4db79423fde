"""The SQL of creating, listing and voiding grants, and nothing else. All of it goes through the tenant's door. The
ledger (`tenant_svc.allowances`) writes the use of grants."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import Integer, bindparam, func, insert, literal_column, or_, select, update

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.balances.grant import Grant
from tenantmesh.tenant_svc.balances.repository import GRANT, grant_of
from tenantmesh.tenant_svc.balances.tables import grants
from tenantmesh.tenant_svc.request_rows import is_of_request, request_parameters

__all__ = ["all_of", "create", "locked", "made_by", "void"]

_own = grants.c.tenant_id == bindparam("tenant_id", type_=grants.c.tenant_id.type)
_this = (_own, grants.c.grant_id == bindparam("grant_id", type_=grants.c.grant_id.type))
_over = grants.c.void_time.is_not(None) | (
    grants.c.expire_time.is_not(None) & (grants.c.expire_time <= func.statement_timestamp())
)
_feature = bindparam("feature_id", type_=grants.c.feature_id.type)
_LIST = compiled(
    select(func.statement_timestamp().label("now"), *GRANT)
    .where(_own, or_(_feature == literal_column("''"), grants.c.feature_id == _feature))
    .order_by(_over, grants.c.create_time.desc(), grants.c.grant_id.desc())
    .limit(bindparam("size", type_=Integer))
)
_MADE_BY = compiled(select(grants.c.digest, *GRANT).where(_own, is_of_request(grants)))
_LOCKED = compiled(select(*GRANT).where(*_this).with_for_update())
_INSERT = compiled(
    insert(grants)
    .values(
        tenant_id=bindparam("tenant_id"),
        **{column.key: bindparam(column.key) for column in GRANT if column.key not in {"void_time", "create_time"}},
        create_time=func.statement_timestamp(),
        requester=bindparam("requester"),
        request_id=bindparam("request_id"),
        digest=bindparam("digest"),
    )
    .returning(*GRANT)
)
_VOID = compiled(update(grants).where(*_this).values(void_time=func.statement_timestamp()).returning(*GRANT))


async def all_of(
    connection: Connection, tenant_id: TenantId, feature: str, size: int | None = None
) -> tuple[list[Grant], datetime | None]:
    """Return the tenant's grants, of one feature or (empty) of all, newest first, and the database's clock, None
    without a grant.

    `size` is the most to return, None for all. Grants that are over come after all others, so that it drops them first.
    """
    rows = await connection.fetch(_LIST, tenant_id=tenant_id, feature_id=feature, size=size)
    return [grant_of(row) for row in rows], rows[0]["now"] if rows else None


async def made_by(connection: Connection, tenant_id: TenantId, key: RequestKey) -> tuple[str, Grant] | None:
    """Return the grant that the request has made, with the digest of the request's fields; None when it has made
    none."""
    row = await connection.fetch_row(_MADE_BY, tenant_id=tenant_id, **request_parameters(key))
    return None if row is None else (row["digest"], grant_of(row))


async def locked(connection: Connection, tenant_id: TenantId, grant_id: uuid.UUID) -> Grant | None:
    """Return the grant, and lock its row until this transaction ends; None when it does not exist."""
    row = await connection.fetch_row(_LOCKED, tenant_id=tenant_id, grant_id=grant_id)
    return None if row is None else grant_of(row)


async def create(
    connection: Connection, tenant_id: TenantId, grant: Grant, key: RequestKey | None, digest: str
) -> Grant:
    """Store the grant with the request that makes it, and return the stored grant."""
    row = await connection.fetch_row(
        _INSERT,
        tenant_id=tenant_id,
        grant_id=grant.id,
        feature_id=grant.feature,
        amount=grant.amount,
        priority=grant.priority,
        effective_time=grant.effective_time,
        expire_time=grant.expire_time,
        max_rollover=grant.max_rollover,
        min_rollover=grant.min_rollover,
        reason=grant.reason,
        balance=grant.balance,
        balance_period=grant.balance_period,
        requester=None if key is None else key.requester,
        request_id=None if key is None else key.request_id,
        digest=digest,
    )
    return _stored(row)


async def void(connection: Connection, tenant_id: TenantId, grant_id: uuid.UUID) -> Grant:
    """End the grant now, and return the stored grant."""
    return _stored(await connection.fetch_row(_VOID, tenant_id=tenant_id, grant_id=grant_id))


def _stored(row: Record | None) -> Grant:
    if row is None:
        raise LookupError("a grant that this transaction has stored or locked is missing")
    return grant_of(row)
