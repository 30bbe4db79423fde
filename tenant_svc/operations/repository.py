"""The SQL of operations, and nothing else.

Operations of a tenant go through its door, those of the mesh (with None as the tenant) through the system door. The
caller opens it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Table,
    Text,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState
from tenantmesh.tenant_svc.operations.tables import mesh_operations, operations
from tenantmesh.tenant_svc.request_rows import is_of_request, request_parameters

__all__ = [
    "OPERATIONS_CHANNEL",
    "advance",
    "create",
    "end",
    "get",
    "get_locked",
    "id_under_way",
    "made_by",
    "now",
    "page",
]

OPERATIONS_CHANNEL = "operations"
"""Notified with the operation's id by every transaction that ends one."""

_RESULT, _CANCELLED_BY, _CAUSE = (
    "result",
    "cancelled_by",
    "cause",
)  # in the column `progress`, beside the type's own keys
_LONG = "rejected"
"""The key of `progress` whose list may be long. A page of operations has the number of its items instead."""
_FILLED = (
    *("operation_id", "type", "state", "request", "progress", "actor", "effective_time", "create_time"),
    *("requester", "request_id", "digest"),
)
"""The columns that a new operation fills, in either table."""

_NOW = compiled(select(func.statement_timestamp().label("now")))


def _one_at_a_time(table: Table) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of the subject of which one operation may be under way, as its index has them."""
    subject = table.c.subject
    return subject == bindparam("subject", type_=subject.type), subject != literal_column("''", Text)


def _every_type(table: Table) -> ColumnElement[bool]:
    """Return the condition for operations of the type of that name; for all, when the name is empty."""
    asked = bindparam("type", type_=table.c.type.type)
    return or_(asked == literal_column("''"), table.c.type == asked)


def _abridged(progress: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the progress with the number of items in place of the long list, so that a page does not read it."""
    items, path = progress[_LONG], func.array_append(literal_column("'{}'::text[]", ARRAY(Text)), _LONG)
    shorter = func.jsonb_set(progress, path, func.to_jsonb(func.jsonb_array_length(items)), type_=progress.type)
    return case((func.jsonb_typeof(items) == literal_column("'array'"), shorter), else_=progress).label("progress")


class _Statements:
    """The statements on one of the two tables. `owner` are the conditions that keep its tenants apart; `own` the
    columns that only this table has."""

    def __init__(self, table: Table, owner: tuple[ColumnElement[bool], ...], own: tuple[str, ...]) -> None:
        this = (*owner, table.c.operation_id == bindparam("operation_id", type_=table.c.operation_id.type))
        of_type = table.c.type == bindparam("type", type_=table.c.type.type)
        change = update(table).where(*this).values(state=bindparam("new_state"), progress=bindparam("new_progress"))
        filled: dict[str, object] = {name: bindparam(name) for name in (*own, *_FILLED)}
        self.insert = compiled(insert(table).values({**filled, "cancel_requested": literal_column("false")}))
        self.get = compiled(select(table).where(*this))
        self.get_locked = compiled(select(table).where(*this).with_for_update(key_share=True))
        self.made_by = compiled(select(table).where(*owner, is_of_request(table)))
        subject = _one_at_a_time(table) if "subject" in own else ()
        self.under_way = compiled(
            select(table.c.operation_id).where(*owner, of_type, *subject, table.c.end_time.is_(None))
        )
        self.page = compiled(
            select(*(column for column in table.c if column.name != "progress"), _abridged(table.c.progress))
            .where(*owner, table.c.operation_id < bindparam("before", type_=table.c.operation_id.type))
            .where(_every_type(table))
            .order_by(table.c.operation_id.desc())
            .limit(bindparam("size", type_=Integer))
        )
        self.advance = compiled(change)
        self.end = compiled(
            change.values(
                error=bindparam("new_error"),
                cancel_requested=bindparam("cancelled"),
                end_time=func.statement_timestamp(),
            ).returning(*table.c, func.pg_notify(OPERATIONS_CHANNEL, cast(table.c.operation_id, Text)))
        )


_OF_TENANTS = _Statements(
    operations,
    (operations.c.tenant_id == bindparam("tenant_id", type_=operations.c.tenant_id.type),),
    ("tenant_id",),
)
_OF_MESH = _Statements(mesh_operations, (), ("subject",))


def _of(tenant_id: TenantId | None) -> tuple[_Statements, dict[str, object]]:
    """Return the statements, and the parameters that name the tenant."""
    return (_OF_MESH, {}) if tenant_id is None else (_OF_TENANTS, {"tenant_id": tenant_id})


def _operation_of(row: Record, tenant_id: TenantId | None) -> Operation:
    progress = json.loads(row["progress"])
    result, cancelled_by = progress.pop(_RESULT, None), progress.pop(_CANCELLED_BY, "")
    cause = progress.pop(_CAUSE, None)
    return Operation(
        tenant_id=tenant_id,
        id=row["operation_id"],
        type=row["type"],
        state=OperationState(row["state"]),
        request=json.loads(row["request"]),
        progress=progress,
        actor=row["actor"],
        effective_time=row["effective_time"],
        create_time=row["create_time"],
        end_time=row["end_time"],
        error=None if row["error"] is None else Failure(**json.loads(row["error"])),
        result=result,
        cancelled_by=cancelled_by,
        cause=cause and (cause[0], cause[1]),
        subject=row["subject"] if tenant_id is None else "",
    )


def _progress_of(operation: Operation) -> dict[str, Any]:
    progress = dict(operation.progress)
    if operation.result is not None:
        progress[_RESULT] = operation.result
    if operation.cancelled_by:
        progress[_CANCELLED_BY] = operation.cancelled_by
    if operation.cause is not None:
        progress[_CAUSE] = operation.cause
    return progress


def _maybe(row: Record | None, tenant_id: TenantId | None) -> Operation | None:
    return None if row is None else _operation_of(row, tenant_id)


async def now(connection: Connection) -> datetime:
    """Return the database's clock."""
    row = await connection.fetch_row(_NOW)
    if row is None:
        raise LookupError("the database returned no time")
    moment: datetime = row["now"]
    return moment


async def create(connection: Connection, operation: Operation, key: RequestKey | None, digest: str) -> None:
    """Store the operation, with the digest of the request's fields.

    Raises UniqueViolation when the tenant has an open operation of the type, when the mesh has one of the type and
    subject, or when the request has made one before.
    """
    statements, owner = _of(operation.tenant_id)
    await connection.execute(
        statements.insert,
        **(owner or {"subject": operation.subject}),
        operation_id=operation.id,
        type=operation.type,
        state=operation.state.value,
        request=dict(operation.request),
        progress=_progress_of(operation),
        actor=operation.actor,
        effective_time=operation.effective_time,
        create_time=operation.create_time,
        requester=None if key is None else key.requester,
        request_id=None if key is None else key.request_id,
        digest=None if key is None else digest,
    )


async def get(connection: Connection, tenant_id: TenantId | None, operation_id: uuid.UUID) -> Operation | None:
    """Return the operation, or None when the tenant, or the mesh, does not have it."""
    statements, owner = _of(tenant_id)
    return _maybe(await connection.fetch_row(statements.get, **owner, operation_id=operation_id), tenant_id)


async def get_locked(connection: Connection, tenant_id: TenantId | None, operation_id: uuid.UUID) -> Operation | None:
    """Return the operation as `get` does, and lock its row until this transaction ends."""
    statements, owner = _of(tenant_id)
    return _maybe(await connection.fetch_row(statements.get_locked, **owner, operation_id=operation_id), tenant_id)


async def made_by(connection: Connection, tenant_id: TenantId | None, key: RequestKey) -> tuple[str, Operation] | None:
    """Return the operation that the request has made, with the digest of the request's fields; None when it has made
    none."""
    statements, owner = _of(tenant_id)
    row = await connection.fetch_row(statements.made_by, **owner, **request_parameters(key))
    return None if row is None else (row["digest"], _operation_of(row, tenant_id))


async def id_under_way(
    connection: Connection, tenant_id: TenantId | None, operation_type: str, subject: str = ""
) -> uuid.UUID | None:
    """Return the id of the tenant's operation of the type that has not ended; None when all have. An operation of the
    mesh is named by its subject too."""
    statements, owner = _of(tenant_id)
    row = await connection.fetch_row(statements.under_way, **(owner or {"subject": subject}), type=operation_type)
    return None if row is None else row["operation_id"]


async def page(
    connection: Connection, tenant_id: TenantId | None, before: uuid.UUID, size: int, operation_type: str = ""
) -> list[Operation]:
    """Return the operations of the tenant, or of the mesh, before that id, newest first. Ids are UUIDv7s. With a type,
    return those alone. Their progress has a number in place of a long list."""
    statements, owner = _of(tenant_id)
    rows = await connection.fetch(statements.page, **owner, before=before, size=size, type=operation_type)
    return [_operation_of(row, tenant_id) for row in rows]


async def advance(connection: Connection, operation: Operation) -> None:
    """Store the operation's state and progress."""
    statements, owner = _of(operation.tenant_id)
    await connection.execute(
        statements.advance,
        **owner,
        operation_id=operation.id,
        new_state=operation.state.value,
        new_progress=_progress_of(operation),
    )


async def end(connection: Connection, operation: Operation) -> Operation:
    """Store the end of the operation, and return it. The calls that wait for it are notified when this transaction
    commits."""
    statements, owner = _of(operation.tenant_id)
    row = await connection.fetch_row(
        statements.end,
        **owner,
        operation_id=operation.id,
        new_state=operation.state.value,
        new_progress=_progress_of(operation),
        new_error=None if operation.error is None else asdict(operation.error),
        cancelled=operation.state is OperationState.CANCELLED,
    )
    if row is None:
        raise LookupError("an operation that this transaction has locked is missing")
    return _operation_of(row, operation.tenant_id)
