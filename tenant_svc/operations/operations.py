"""What can be done with operations, whatever they are about: get, list, cancel, wait. Opens the doors."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.opaque import pack, unpack
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.tenants import TenantId, parse_tenant_id
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.operation import CANCELLED, Operation, OperationState, not_found

__all__ = ["LONGEST_WAIT", "Operations", "Page"]

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
LONGEST_WAIT = timedelta(seconds=50)
_NEWEST = uuid.UUID(int=2**128 - 1)
_PAGE = b"tm.ops"


@dataclass(frozen=True, slots=True)
class Page:
    """Some operations, and the token of the page after them; empty when they are the last."""

    operations: list[Operation]
    next_token: str


class Operations:
    """The use cases. All raise Unavailable when the database can't be reached, and NotFound `OPERATION_NOT_FOUND` for
    an id that is none of the tenant's.

    `endings` is woken by the database; while no word comes from there, whoever waits looks every `poll_interval`.
    """

    def __init__(self, doors: Doors, endings: Endings, *, poll_interval: timedelta = timedelta(seconds=2)) -> None:
        self._doors = doors
        self._endings = endings
        self._poll_interval = poll_interval.total_seconds()

    async def get(self, tenant_id: TenantId, operation_id: str) -> Operation:
        """The operation as it is now."""
        return await self._get(tenant_id, _parsed(operation_id))

    async def page(self, tenant_id: TenantId, size: int, token: str) -> Page:
        """Operations, newest first, from where the token says. Raises InvalidArgument for a token that is none of
        ours."""
        size, before = _checked_page(size, token)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            found = await repository.page(connection, tenant_id, before, size + 1)
        return Page(found[:size], pack(_PAGE, found[size - 1].id.bytes) if len(found) > size else "")

    async def cancel(self, tenant_id: TenantId, operation_id: str, actor: str) -> Operation:
        """Ends the operation before it has changed anything, for the credential that is the `actor`. One that has ended
        stays as it is.

        Nothing but the transaction that ends an operation has an effect, and there is one such: so this is done when
        it returns, and needs no worker. The job finds nothing left to do.
        """
        async with self._doors.tenant(tenant_id) as connection:
            operation = await repository.get_locked(connection, tenant_id, _parsed(operation_id))
            if operation is None:
                raise not_found()
            if operation.done:
                return operation
            cancelled = replace(operation, state=OperationState.CANCELLED, error=CANCELLED, cancelled_by=actor)
            return await repository.end(connection, cancelled)

    async def wait(self, tenant_id: TenantId, operation_id: str, seconds: float) -> Operation:
        """The operation when it has ended, or as it is after so many seconds."""
        wanted, until = _parsed(operation_id), time.monotonic() + seconds
        with self._endings.awaited(wanted) as ended:
            while True:
                ended.clear()  # before looking: what happens meanwhile wakes us again
                operation = await self._get(tenant_id, wanted)
                left = until - time.monotonic()
                if operation.done or left <= 0:
                    return operation
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, self._poll_interval)):
                        await ended.wait()

    async def _get(self, tenant_id: TenantId, operation_id: uuid.UUID) -> Operation:
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            operation = await repository.get(connection, tenant_id, operation_id)
        if operation is None:
            raise not_found()
        return operation


def _parsed(operation_id: str) -> uuid.UUID:
    parsed = parse_tenant_id(operation_id)  # the same canonical, non-nil form
    if parsed is None:
        raise not_found()
    return parsed


def _checked_page(size: int, token: str) -> tuple[int, uuid.UUID]:
    if size < 0:
        raise InvalidArgument.fields([FieldViolation("page_size", "must not be negative")])
    try:
        before = uuid.UUID(bytes=unpack(_PAGE, token)) if token else _NEWEST
    except ValueError as error:
        violation = FieldViolation("page_token", "must be the next_page_token of the page before, unchanged")
        raise InvalidArgument.fields([violation]) from error
    return min(size or DEFAULT_PAGE, LARGEST_PAGE), before
