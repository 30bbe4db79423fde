"""The SQL of operations, and nothing else. All of it goes through the tenant's door, which the caller opens."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, bindparam, cast, func, insert, literal_column, select, update

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState
from tenantmesh.tenant_svc.operations.tables import operations
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
_of_tenant: ColumnElement[bool] = operations.c.tenant_id == bindparam("tenant_id", type_=operations.c.tenant_id.type)
_this = (_of_tenant, operations.c.operation_id == bindparam("operation_id", type_=operations.c.operation_id.type))
_of_type = operations.c.type == bindparam("type", type_=operations.c.type.type)

_NOW = compiled(select(func.statement_timestamp().label("now")))
_INSERT = compiled(
    insert(operations).values(
        {
            **{
                name: bindparam(name)
                for name in (
                    "tenant_id",
                    "operation_id",
                    "type",
                    "state",
                    "request",
                    "progress",
                    "actor",
                    "effective_time",
                    "create_time",
                    "requester",
                    "request_id",
                    "digest",
                )
            },
            "cancel_requested": literal_column("false"),
        }
    )
)
_GET = compiled(select(operations).where(*_this))
_GET_LOCKED = compiled(select(operations).where(*_this).with_for_update(key_share=True))
_MADE_BY = compiled(select(operations).where(_of_tenant, is_of_request(operations)))
_UNDER_WAY = compiled(select(operations.c.operation_id).where(_of_tenant, _of_type, operations.c.end_time.is_(None)))
_LIST = compiled(
    select(operations)
    .where(_of_tenant, operations.c.operation_id < bindparam("before", type_=operations.c.operation_id.type))
    .order_by(operations.c.operation_id.desc())
    .limit(bindparam("size", type_=Integer))
)
_ADVANCE = compiled(
    update(operations).where(*_this).values(state=bindparam("new_state"), progress=bindparam("new_progress"))
)
_END = compiled(
    update(operations)
    .where(*_this)
    .values(
        state=bindparam("new_state"),
        progress=bindparam("new_progress"),
        error=bindparam("new_error"),
        cancel_requested=bindparam("cancelled"),
        end_time=func.statement_timestamp(),
    )
    .returning(*operations.c, func.pg_notify(OPERATIONS_CHANNEL, cast(operations.c.operation_id, Text)))
)


def _operation_of(row: Record) -> Operation:
    progress = json.loads(row["progress"])
    result, cancelled_by = progress.pop(_RESULT, None), progress.pop(_CANCELLED_BY, "")
    cause = progress.pop(_CAUSE, None)
    return Operation(
        tenant_id=TenantId(row["tenant_id"]),
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


def _maybe(row: Record | None) -> Operation | None:
    return None if row is None else _operation_of(row)


async def now(connection: Connection) -> datetime:
    """Return the database's clock."""
    row = await connection.fetch_row(_NOW)
    if row is None:
        raise LookupError("the database returned no time")
    moment: datetime = row["now"]
    return moment


async def create(connection: Connection, operation: Operation, key: RequestKey | None, digest: str) -> None:
    """Store the operation, with the digest of the request's fields.

    Raises UniqueViolation when the tenant has an open operation of the type, or the request has made one before.
    """
    await connection.execute(
        _INSERT,
        tenant_id=operation.tenant_id,
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


async def get(connection: Connection, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
    """Return the operation, or None when the tenant does not have it."""
    return _maybe(await connection.fetch_row(_GET, tenant_id=tenant_id, operation_id=operation_id))


async def get_locked(connection: Connection, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
    """Return the operation as `get` does, and lock its row until this transaction ends."""
    return _maybe(await connection.fetch_row(_GET_LOCKED, tenant_id=tenant_id, operation_id=operation_id))


async def made_by(connection: Connection, tenant_id: TenantId, key: RequestKey) -> tuple[str, Operation] | None:
    """Return the operation that the request has made, with the digest of the request's fields; None when it has made
    none."""
    row = await connection.fetch_row(_MADE_BY, tenant_id=tenant_id, **request_parameters(key))
    return None if row is None else (row["digest"], _operation_of(row))


async def id_under_way(connection: Connection, tenant_id: TenantId, operation_type: str) -> uuid.UUID | None:
    """Return the id of the tenant's operation of the type that has not ended; None when all have."""
    row = await connection.fetch_row(_UNDER_WAY, tenant_id=tenant_id, type=operation_type)
    return None if row is None else row["operation_id"]


async def page(connection: Connection, tenant_id: TenantId, before: uuid.UUID, size: int) -> list[Operation]:
    """Return the tenant's operations before that id, newest first. Ids are UUIDv7s."""
    rows = await connection.fetch(_LIST, tenant_id=tenant_id, before=before, size=size)
    return [_operation_of(row) for row in rows]


async def advance(connection: Connection, operation: Operation) -> None:
    """Store the operation's state and progress."""
    await connection.execute(
        _ADVANCE,
        tenant_id=operation.tenant_id,
        operation_id=operation.id,
        new_state=operation.state.value,
        new_progress=_progress_of(operation),
    )


async def end(connection: Connection, operation: Operation) -> Operation:
    """Store the end of the operation, and return it. The calls that wait for it are notified when this transaction
    commits."""
    row = await connection.fetch_row(
        _END,
        tenant_id=operation.tenant_id,
        operation_id=operation.id,
        new_state=operation.state.value,
        new_progress=_progress_of(operation),
        new_error=None if operation.error is None else asdict(operation.error),
        cancelled=operation.state is OperationState.CANCELLED,
    )
    if row is None:
        raise LookupError("an operation that this transaction has locked is missing")
    return _operation_of(row)
