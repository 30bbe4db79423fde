"""The use cases of operations of any type: get, list, cancel, wait. They open the doors."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import Page, page_size, uuid_tokens
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.tasks import wait_for_event
from tenantmesh.interceptors.tenants import TenantId, parse_uuid
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operation import CANCELLED, Operation, OperationState

__all__ = ["LONGEST_WAIT", "Operations"]

LONGEST_WAIT = timedelta(seconds=50)
_TOKENS = uuid_tokens(b"tm.ops", uuid.UUID(int=2**128 - 1))


class Operations:
    """The use cases. All raise Unavailable when the database can't be reached, and NotFound `OPERATION_NOT_FOUND`
    without such an operation.

    The database wakes `endings`. Without a notification, `wait` reads the operation every `poll_interval`.
    """

    def __init__(self, doors: Doors, endings: Endings, *, poll_interval: timedelta = timedelta(seconds=2)) -> None:
        self._doors = doors
        self._endings = endings
        self._poll_interval = poll_interval.total_seconds()

    async def get(self, tenant_id: TenantId, operation_id: str) -> Operation:
        """Return the operation."""
        return await self._get(tenant_id, _parsed(operation_id))

    async def page(self, tenant_id: TenantId, size: int, token: str) -> Page[Operation]:
        """Return a page of operations, newest first, from the token's position. Raises InvalidArgument for another
        list's token."""
        tokens = _TOKENS.of(str(tenant_id))
        size, before = page_size(size), tokens.open(token)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await repository.page(connection, tenant_id, before, size + 1)
        return tokens.page(found, size, lambda operation: operation.id)

    async def cancel(self, tenant_id: TenantId, operation_id: str, actor: str) -> Operation:
        """End the operation before it has changed anything, for the credential `actor`. An ended operation stays as it
        is.

        An operation has its effect in the transaction that ends it, and only one transaction can end it. So this needs
        no worker; the job finds the operation ended.
        """
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, _parsed(operation_id))
            if operation is None:
                raise _not_found()
            if operation.done:
                return operation
            cancelled = replace(operation, state=OperationState.CANCELLED, error=CANCELLED, cancelled_by=actor)
            return await repository.end(connection, cancelled)

    async def wait(self, tenant_id: TenantId, operation_id: str, seconds: float) -> Operation:
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

    async def _get(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation:
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            operation = await repository.get(connection, tenant_id, operation_id)
        if operation is None:
            raise _not_found()
        return operation


def _parsed(operation_id: str) -> uuid.UUID:
    parsed = parse_uuid(operation_id)
    if parsed is None:
        raise _not_found()
    return parsed


def _not_found() -> NotFound:
    """Return the refusal of an operation that is missing or another tenant's."""
    return NotFound("OPERATION_NOT_FOUND", "The tenant has no such operation. List its operations.")
