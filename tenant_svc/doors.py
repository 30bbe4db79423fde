"""The two doors to the database as this service uses them: runtime's, speaking the mesh's errors.

A database that can't be reached is UNAVAILABLE for whoever called, and nothing of its text reaches them.
"""

from __future__ import annotations

import uuid
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import TracebackType

from interceptors.errors import Unavailable
from runtime.database import Connection, Database, DatabaseUnavailable, Record

__all__ = ["Doors"]


class Doors:
    """Transactions on the database, for a tenant or for the mesh as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tenant(self, tenant_id: uuid.UUID, *, read_only: bool = False) -> AbstractAsyncContextManager[Connection]:
        """A transaction that sees this tenant and nothing else. Raises Unavailable."""
        return _Translated(self._database.tenant_transaction(tenant_id, read_only=read_only))

    async def read(self, tenant_id: uuid.UUID, function: str) -> list[Record]:
        """What a reading function of the schema gives for this tenant, in one message. Raises Unavailable."""
        try:
            return await self._database.tenant_read(tenant_id, function)
        except DatabaseUnavailable as error:
            raise _unavailable() from error

    def system(self, reason: str, *, read_only: bool = False) -> AbstractAsyncContextManager[Connection]:
        """A transaction of the narrow role that reads across tenants; the reason is for the log. Raises Unavailable."""
        return _Translated(self._database.system_transaction(reason, read_only=read_only))


class _Translated:
    """A class instead of a generator: this stands on the path of every call."""

    __slots__ = ("_inner",)

    def __init__(self, inner: AbstractAsyncContextManager[Connection]) -> None:
        self._inner = inner

    async def __aenter__(self) -> Connection:
        try:
            return await self._inner.__aenter__()
        except DatabaseUnavailable as error:
            raise _unavailable() from error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            swallowed = await self._inner.__aexit__(kind, error, trace)
        except DatabaseUnavailable as lost:
            raise _unavailable() from lost
        if isinstance(error, DatabaseUnavailable):
            raise _unavailable() from error
        return swallowed


def _unavailable() -> Unavailable:
    return Unavailable(
        "TENANT_DIRECTORY_UNAVAILABLE",
        "Tenants can't be read or changed at the moment. Retry with backoff.",
        retry_after=timedelta(seconds=1),
    )
