"""The SQL of invitation requests, and nothing else. Each group of statements names its door, which the caller opens."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Integer, bindparam, func, insert, select

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.invitations.tables import invitation_requests
from tenantmesh.tenant_svc.tenants.rows import EXISTS
from tenantmesh.tenant_svc.tenants.tables import tenants

__all__ = ["InvitationRequest", "add", "number_waiting", "page"]


@dataclass(frozen=True, slots=True)
class InvitationRequest:
    """A request to invite somebody to a tenant, which waits for delivery."""

    tenant_id: TenantId
    id: uuid.UUID
    email: str
    role: str
    actor: str
    create_time: datetime


# Through the tenant's door, or the system door where several tenants are created at once

_ADD = compiled(
    insert(invitation_requests).values(
        tenant_id=bindparam("tenant_id"),
        invitation_request_id=bindparam("invitation_request_id"),
        email=bindparam("email"),
        role=bindparam("role"),
        actor=bindparam("actor"),
        create_time=func.statement_timestamp(),
    )
)


async def add(
    connection: Connection, tenant_id: TenantId, request_id: uuid.UUID, *, email: str, role: str, actor: str
) -> None:
    """Store a request."""
    await connection.execute(
        _ADD, tenant_id=tenant_id, invitation_request_id=request_id, email=email, role=role, actor=actor
    )


# Through the system door, across tenants. Those of a deleted tenant wait until it is brought back, or purged.

_id = invitation_requests.c.invitation_request_id
_LIST = compiled(
    select(invitation_requests)
    .join_from(invitation_requests, tenants)
    .where(EXISTS, _id > bindparam("after", type_=_id.type))
    .order_by(_id)
    .limit(bindparam("size", type_=Integer))
)
_waiting = (
    select(_id)
    .join_from(invitation_requests, tenants)
    .where(EXISTS)
    .order_by(_id)
    .limit(bindparam("most", type_=Integer))
    .subquery()
)
_NUMBER = compiled(select(func.count().label("number")).select_from(_waiting))


async def page(connection: Connection, after: uuid.UUID, size: int) -> list[InvitationRequest]:
    """Return the requests of all tenants after that id, oldest first. Ids are UUIDv7s."""
    return [_request_of(row) for row in await connection.fetch(_LIST, after=after, size=size)]


async def number_waiting(connection: Connection, most: int) -> int:
    """Return how many requests wait, counting no further than `most`."""
    row = await connection.fetch_row(_NUMBER, most=most)
    return 0 if row is None else int(row["number"])


def _request_of(row: Record) -> InvitationRequest:
    return InvitationRequest(
        TenantId(row["tenant_id"]),
        row["invitation_request_id"],
        row["email"],
        row["role"],
        row["actor"],
        row["create_time"],
    )
