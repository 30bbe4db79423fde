"""Transactions whose failure that will pass is an error of the service's own choice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar
from uuid import UUID

from tenantmesh.runtime.database.database import Database
from tenantmesh.runtime.database.errors import (
    DatabaseError,
    DatabaseUnavailable,
    ShareInUse,
    TenantPurged,
    TransactionConflict,
)
from tenantmesh.runtime.database.several_tenants import SeveralTenants
from tenantmesh.runtime.database.transaction import Connection, Record

__all__ = ["DatabaseDoors"]

_Opened = TypeVar("_Opened")
_TOLD = (DatabaseUnavailable, TransactionConflict, TenantPurged)
"""Failures that are no defect: most of them the same transaction may not meet when it is run again."""


class DatabaseDoors:
    """Transactions on the database, for a tenant or for the mesh as a whole.

    `outage` makes the error that takes the place of DatabaseUnavailable and of TransactionConflict: the caller learns
    that the service can't serve now, and sees nothing of the database's text. `busy` makes the error for a tenant, or a
    purpose, whose share of the connections is in use, while others are served. `gone` makes the error for a tenant that
    was purged meanwhile.
    """

    def __init__(
        self,
        database: Database,
        outage: Callable[[], Exception],
        busy: Callable[[], Exception],
        gone: Callable[[], Exception],
    ) -> None:
        self._database = database
        self._outage = outage
        self._busy = busy
        self._gone = gone

    def tenant(self, tenant_id: UUID, *, read_only: bool = False) -> AbstractAsyncContextManager[Connection]:
        """Return a transaction that sees this tenant and nothing else."""
        return _Translated(self._database.tenant_transaction(tenant_id, read_only=read_only), self._told)

    async def answers(self) -> bool:
        """Return whether the database answers, on a connection of its own: a pool that is busy does not count."""
        try:
            await self._database.check()
        except DatabaseError:
            return False
        return True

    async def read(self, tenant_id: UUID, function: str) -> list[Record]:
        """Return what a reading function of the schema gives for this tenant, in one message."""
        try:
            return await self._database.tenant_read(tenant_id, function)
        except _TOLD as error:
            raise self._told(error) from error

    def system(
        self, reason: str, *, on_behalf_of: UUID | None = None, read_only: bool = False
    ) -> AbstractAsyncContextManager[Connection]:
        """Return a transaction of the narrow role that reads across tenants; the reason says why."""
        opened = self._database.system_transaction(reason, on_behalf_of=on_behalf_of, read_only=read_only)
        return _Translated(opened, self._told)

    def tenants(self, reason: str) -> AbstractAsyncContextManager[SeveralTenants]:
        """Return a transaction that sees one tenant after the other; the reason says why all of it counts or none."""
        return _Translated(self._database.tenants_transaction(reason), self._told)

    def _told(self, error: DatabaseError) -> Exception:
        if isinstance(error, TenantPurged):
            return self._gone()
        return self._busy() if isinstance(error, ShareInUse) else self._outage()


class _Translated(Generic[_Opened]):
    """A class instead of a generator: this stands on the path of every call."""

    __slots__ = ("_inner", "_told")

    def __init__(self, inner: AbstractAsyncContextManager[_Opened], told: Callable[[DatabaseError], Exception]) -> None:
        self._inner = inner
        self._told = told

    async def __aenter__(self) -> _Opened:
        try:
            return await self._inner.__aenter__()
        except _TOLD as error:
            raise self._told(error) from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            swallowed = await self._inner.__aexit__(kind, error, trace)
        except _TOLD as lost:
            raise self._told(lost) from lost
        if isinstance(error, _TOLD):
            raise self._told(error) from error
        return swallowed
