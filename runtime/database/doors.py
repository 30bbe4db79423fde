"""Transactions whose failure that will pass is an error of the service's own choice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from uuid import UUID

from tenantmesh.runtime.database.database import Database
from tenantmesh.runtime.database.errors import DatabaseUnavailable, TransactionConflict
from tenantmesh.runtime.database.transaction import Connection, Record

__all__ = ["DatabaseDoors"]

_PASSING = (DatabaseUnavailable, TransactionConflict)
"""Failures that the same transaction may not meet when it is run again."""


class DatabaseDoors:
    """Transactions on the database, for a tenant or for the mesh as a whole.

    `outage` makes the error that takes the place of DatabaseUnavailable and of TransactionConflict: the caller learns
    that the service can't serve now, and sees nothing of the database's text.
    """

    def __init__(self, database: Database, outage: Callable[[], Exception]) -> None:
        self._database = database
        self._outage = outage

    def tenant(self, tenant_id: UUID, *, read_only: bool = False) -> AbstractAsyncContextManager[Connection]:
        """Return a transaction that sees this tenant and nothing else."""
        return _Translated(self._database.tenant_transaction(tenant_id, read_only=read_only), self._outage)

    async def read(self, tenant_id: UUID, function: str) -> list[Record]:
        """Return what a reading function of the schema gives for this tenant, in one message."""
        try:
            return await self._database.tenant_read(tenant_id, function)
        except _PASSING as error:
            raise self._outage() from error

    def system(self, reason: str, *, read_only: bool = False) -> AbstractAsyncContextManager[Connection]:
        """Return a transaction of the narrow role that reads across tenants; the reason says why."""
        return _Translated(self._database.system_transaction(reason, read_only=read_only), self._outage)


class _Translated:
    """A class instead of a generator: this stands on the path of every call."""

    __slots__ = ("_inner", "_outage")

    def __init__(self, inner: AbstractAsyncContextManager[Connection], outage: Callable[[], Exception]) -> None:
        self._inner = inner
        self._outage = outage

    async def __aenter__(self) -> Connection:
        try:
            return await self._inner.__aenter__()
        except _PASSING as error:
            raise self._outage() from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            swallowed = await self._inner.__aexit__(kind, error, trace)
        except _PASSING as lost:
            raise self._outage() from lost
        if isinstance(error, _PASSING):
            raise self._outage() from error
        return swallowed
