"""The use cases of operations of any type: get, list, cancel, wait. They open the doors."""

from __future__ import annotations

import time
import uuid
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import Page, page_size, uuid_tokens
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.tasks import wait_for_event
from tenantmesh.interceptors.tenants import TenantId, parse_uuid
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operation import BROKEN_OFF, CANCELLED, Operation, OperationState

__all__ = ["LONGEST_WAIT", "Operations", "operation_not_found"]

LONGEST_WAIT = timedelta(seconds=50)
_TOKENS = uuid_tokens(b"tm.ops", uuid.UUID(int=2**128 - 1))


class Operations:
    """The use cases, for the operations of a tenant, or with None of the mesh. All raise Unavailable when the database
    can't be reached, and NotFound `OPERATION_NOT_FOUND` without such an operation.

    The database wakes `endings`. Without a notification, `wait` reads the operation every `poll_interval`.
    """

    def __init__(self, doors: Doors, endings: Endings, *, poll_interval: timedelta = timedelta(seconds=2)) -> None:
        self._doors = doors
        self._endings = endings
        self._poll_interval = poll_interval.total_seconds()

    async def get(self, tenant_id: TenantId | None, operation_id: str) -> Operation:
        """Return the operation."""
        return await self._get(tenant_id, _parsed(operation_id))

    async def page(
        self, tenant_id: TenantId | None, size: int, token: str, operation_type: str = ""
    ) -> Page[Operation]:
        """Return a page of operations, newest first, from the token's position; with a type, of that type. Raises
        InvalidArgument for another list's token."""
        tokens = _TOKENS.of("" if tenant_id is None else str(tenant_id), *filter(None, (operation_type,)))
        size, before = page_size(size), tokens.open(token)
        async with self._door("list operations", tenant_id, read_only=True) as connection:
            found = await repository.page(connection, tenant_id, before, size + 1, operation_type)
        return tokens.page(found, size, lambda operation: operation.id)

    async def cancel(self, tenant_id: TenantId | None, operation_id: str, actor: str) -> Operation:
        """End the operation, for the credential `actor`. An ended operation stays as it is.

        A tenant's operation has its effect in the transaction that ends it, and only one transaction can end it. An
        operation of the mesh may have several steps: each locks its row and finds it ended. So this needs no worker.
        """
        async with self._door("cancel an operation", tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, _parsed(operation_id))
            if operation is None:
                raise operation_not_found()
            if operation.done:
                return operation
            return await repository.end(connection, _cancelled(operation, actor))

    async def wait(self, tenant_id: TenantId | None, operation_id: str, seconds: float) -> Operation:
        """Return the operation once it has ended, or its state when the seconds are over."""
        wanted, until = _parsed(operation_id), time.monotonic() + seconds
        with self._endings.awaited(wanted) as ended:
            while True:
                ended.clear()  # before looking, so that an end in between is noticed
                operation = await self._get(tenant_id, wanted)
                left = until - time.monotonic()
                if operation.done or left <= 0:
                    return operation
                await wait_for_event(ended, min(left, self._poll_interval))

    async def _get(self, tenant_id: TenantId | None, operation_id: uuid.UUID) -> Operation:
        async with self._door("read an operation", tenant_id, read_only=True) as connection:
            operation = await repository.get(connection, tenant_id, operation_id)
        if operation is None:
            raise operation_not_found()
        return operation

    def _door(
        self, reason: str, tenant_id: TenantId | None, *, read_only: bool = False
    ) -> AbstractAsyncContextManager[Connection]:
        """Open the tenant's door, or for the mesh the system door."""
        if tenant_id is None:
            return self._doors.system(f"{reason} of the mesh", read_only=read_only)
        return self._doors.tenant(tenant_id, read_only=read_only)


def _cancelled(operation: Operation, actor: str) -> Operation:
    in_steps = operation.tenant_id is None and operation.state is OperationState.APPLYING
    error = BROKEN_OFF if in_steps else CANCELLED
    return replace(operation, state=OperationState.CANCELLED, error=error, cancelled_by=actor)


def _parsed(operation_id: str) -> uuid.UUID:
    parsed = parse_uuid(operation_id)
    if parsed is None:
        raise operation_not_found()
    return parsed


def operation_not_found() -> NotFound:
    """Return the refusal of an operation that is missing, another tenant's, or for operators alone."""
    return NotFound(
        "OPERATION_NOT_FOUND", "There is no such operation. List the operations, and name the tenant that has it."
    )
