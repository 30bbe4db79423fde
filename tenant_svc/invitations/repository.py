"""The SQL of invitation requests, and nothing else. Each group of statements names its door, which the caller opens."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Integer, Text, Uuid, bindparam, column, func, insert, select

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

_new = (
    func.unnest(
        bindparam("tenant_ids", type_=ARRAY(Uuid)),
        bindparam("request_ids", type_=ARRAY(Uuid)),
        bindparam("emails", type_=ARRAY(Text)),
    )
    .table_valued(column("tenant_id", Uuid), column("request_id", Uuid), column("email", Text), name="new")
    .render_derived()
)
_ADD = compiled(
    insert(invitation_requests).from_select(
        ["tenant_id", "invitation_request_id", "email", "role", "actor", "create_time"],
        select(
            _new.c.tenant_id,
            _new.c.request_id,
            _new.c.email,
            bindparam("role", type_=Text),
            bindparam("actor", type_=Text),
            func.statement_timestamp(),
        ),
    )
)


async def add(
    connection: Connection, requests: Sequence[tuple[TenantId, uuid.UUID, str]], *, role: str, actor: str
) -> None:
    """Store requests, each with its tenant, its id and the address, in one statement for any number."""
    await connection.execute(
        _ADD,
        tenant_ids=[tenant_id for tenant_id, _, _ in requests],
        request_ids=[request_id for _, request_id, _ in requests],
        emails=[email for _, _, email in requests],
        role=role,
        actor=actor,
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
