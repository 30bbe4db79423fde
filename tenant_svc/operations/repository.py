"""The SQL of operations, and nothing else. All of it goes through the tenant's door, which the caller opens."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Text,
    any_,
    bindparam,
    cast,
    func,
    insert,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Connection, Record, compiled
from tenantmesh.tenant_svc.balances.tables import ledger
from tenantmesh.tenant_svc.operations.operation import Failure, Operation, OperationState
from tenantmesh.tenant_svc.operations.tables import operations
from tenantmesh.tenant_svc.plan_changes.plan_change import NewMigration, OverLimit, PlanPin, Usage
from tenantmesh.tenant_svc.tenants.repository import tenant_of
from tenantmesh.tenant_svc.tenants.tables import positions, tenants
from tenantmesh.tenant_svc.tenants.tenant import RequestKey, Tenant

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
    "set_plan",
    "usage",
]

OPERATIONS_CHANNEL = "operations"
"""Notified with the operation's id by every transaction that ends one."""

_TYPE = "MIGRATE_TENANT_PLAN"
_of_tenant: ColumnElement[bool] = operations.c.tenant_id == bindparam("tenant_id", type_=operations.c.tenant_id.type)
_this = (_of_tenant, operations.c.operation_id == bindparam("operation_id", type_=operations.c.operation_id.type))
_RESULT = ("slug", "display_name", "plan_id", "plan_version", "state", "create_time", "update_time", "version")

_NOW = compiled(select(func.statement_timestamp().label("now")))
_INSERT = compiled(
    insert(operations).values(
        {
            **{
                name: bindparam(name)
                for name in (
                    "tenant_id",
                    "operation_id",
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
            "type": literal(_TYPE),
            "cancel_requested": literal_column("false"),
        }
    )
)
_GET = compiled(select(operations).where(*_this))
_GET_LOCKED = compiled(select(operations).where(*_this).with_for_update(key_share=True))
_MADE_BY = compiled(
    select(operations).where(
        _of_tenant,
        operations.c.requester == bindparam("requester"),
        operations.c.request_id == bindparam("request_id"),
    )
)
_UNDER_WAY = compiled(
    select(operations.c.operation_id).where(_of_tenant, operations.c.type == _TYPE, operations.c.end_time.is_(None))
)
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
_USAGE = compiled(
    select(ledger.c.feature_id, ledger.c.period_start, ledger.c.given, ledger.c.from_plan).where(
        ledger.c.tenant_id == bindparam("tenant_id", type_=ledger.c.tenant_id.type),
        ledger.c.period_start == any_(bindparam("starts", type_=ARRAY(TIMESTAMP(timezone=True)))),
    )
)
_SET_PLAN = compiled(
    update(tenants)
    .where(tenants.c.tenant_id == bindparam("tenant_id", type_=tenants.c.tenant_id.type))
    .values(
        plan_id=bindparam("new_plan_id"),
        plan_version=bindparam("new_plan_version"),
        update_time=func.statement_timestamp(),
        version=tenants.c.version + 1,
        position=positions.next_value(),
    )
    .returning(*tenants.c)
)


def operation_of(row: Record) -> Operation:
    """The operation in a row."""
    progress = json.loads(row["progress"])
    return Operation(
        tenant_id=TenantId(row["tenant_id"]),
        id=row["operation_id"],
        state=OperationState(row["state"]),
        migration=NewMigration.from_json(json.loads(row["request"])),
        from_plan=PlanPin(**progress["from_plan"]),
        to_plan=PlanPin(**progress["to_plan"]),
        actor=row["actor"],
        effective_time=row["effective_time"],
        create_time=row["create_time"],
        end_time=row["end_time"],
        over_limits=tuple(OverLimit(**each) for each in progress["over_limits"]),
        error=None if row["error"] is None else Failure(**json.loads(row["error"])),
        result=_result_of(row["tenant_id"], progress.get("result")),
        cancelled_by=progress.get("cancelled_by", ""),
    )


def _result_of(tenant_id: uuid.UUID, stored: Mapping[str, Any] | None) -> Tenant | None:
    if stored is None:
        return None
    times = {name: datetime.fromisoformat(stored[name]) for name in ("create_time", "update_time")}
    return Tenant(id=TenantId(tenant_id), **{**stored, **times, "state": TenantState(stored["state"])})


def _progress_of(operation: Operation) -> dict[str, Any]:
    progress: dict[str, Any] = {
        "from_plan": asdict(operation.from_plan),
        "to_plan": asdict(operation.to_plan),
        "over_limits": [asdict(each) for each in operation.over_limits],
    }
    if operation.result is not None:
        progress["result"] = {name: _plain(getattr(operation.result, name)) for name in _RESULT}
    if operation.cancelled_by:
        progress["cancelled_by"] = operation.cancelled_by
    return progress


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, TenantState) else value


def _maybe(row: Record | None) -> Operation | None:
    return None if row is None else operation_of(row)


async def now(connection: Connection) -> datetime:
    """The database's clock."""
    row = await connection.fetch_row(_NOW)
    if row is None:
        raise LookupError("the database did not say what time it is")
    moment: datetime = row["now"]
    return moment


async def create(connection: Connection, operation: Operation, key: RequestKey | None) -> None:
    """Stores the operation. Raises UniqueViolation when another is under way, or the request has made one before."""
    await connection.execute(
        _INSERT,
        tenant_id=operation.tenant_id,
        operation_id=operation.id,
        state=operation.state.value,
        request=operation.migration.to_json(),
        progress=_progress_of(operation),
        actor=operation.actor,
        effective_time=operation.effective_time,
        create_time=operation.create_time,
        requester=None if key is None else key.requester,
        request_id=None if key is None else key.request_id,
        digest=None if key is None else operation.migration.digest,
    )


async def get(connection: Connection, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
    """The operation; None when the tenant has no such one."""
    return _maybe(await connection.fetch_row(_GET, tenant_id=tenant_id, operation_id=operation_id))


async def get_locked(connection: Connection, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation | None:
    """As `get`, and nobody changes it before this transaction ends."""
    return _maybe(await connection.fetch_row(_GET_LOCKED, tenant_id=tenant_id, operation_id=operation_id))


async def made_by(connection: Connection, tenant_id: TenantId, key: RequestKey) -> tuple[str, Operation] | None:
    """The operation that the request has made, with the digest of the request's fields; None when it has made none."""
    row = await connection.fetch_row(_MADE_BY, tenant_id=tenant_id, requester=key.requester, request_id=key.request_id)
    return None if row is None else (row["digest"], operation_of(row))


async def id_under_way(connection: Connection, tenant_id: TenantId) -> uuid.UUID | None:
    """Which change of the tenant's plan has not ended; None when none is under way."""
    row = await connection.fetch_row(_UNDER_WAY, tenant_id=tenant_id)
    return None if row is None else row["operation_id"]


async def page(connection: Connection, tenant_id: TenantId, before: uuid.UUID, size: int) -> list[Operation]:
    """The tenant's operations whose ids precede, newest first: the ids are UUIDv7s."""
    rows = await connection.fetch(_LIST, tenant_id=tenant_id, before=before, size=size)
    return [operation_of(row) for row in rows]


async def advance(connection: Connection, operation: Operation) -> None:
    """Stores the operation's state and progress."""
    await connection.execute(
        _ADVANCE,
        tenant_id=operation.tenant_id,
        operation_id=operation.id,
        new_state=operation.state.value,
        new_progress=_progress_of(operation),
    )


async def end(connection: Connection, operation: Operation) -> Operation:
    """Stores the operation as one that ends now, wakes whoever waits for it once this transaction is visible, and
    returns it as it then is."""
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
        raise LookupError("an operation that this transaction holds is gone")
    return operation_of(row)


async def usage(connection: Connection, tenant_id: TenantId, starts: Mapping[str, datetime]) -> dict[str, Usage]:
    """What is used of the METERED features, each in the period that began when `starts` says."""
    rows = await connection.fetch(_USAGE, tenant_id=tenant_id, starts=sorted(set(starts.values())))
    return {
        row["feature_id"]: Usage(row["given"], row["from_plan"])
        for row in rows
        if starts.get(row["feature_id"]) == row["period_start"]
    }


async def set_plan(connection: Connection, tenant_id: TenantId, plan: PlanPin) -> Tenant:
    """Puts the tenant on that version of the plan and returns it as it is now. After `lock_log`."""
    row = await connection.fetch_row(_SET_PLAN, tenant_id=tenant_id, new_plan_id=plan.id, new_plan_version=plan.version)
    if row is None:
        raise LookupError("a tenant that this transaction holds is gone")
    return tenant_of(row)
