"""The two doors to the database as this service uses them: runtime's, speaking the mesh's errors.

A database that can't be reached is UNAVAILABLE for whoever called, and nothing of its text reaches them.
"""

from __future__ import annotations

import uuid
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from types import TracebackType

from interceptors.errors import Unavailable
from runtime.database import Connection, Database, DatabaseUnavailable

__all__ = ["Doors"]


class Doors:
    """Transactions on the database, for a tenant or for the mesh as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tenant(self, tenant_id: uuid.UUID, *, read_only: bool = False) -> AbstractAsyncContextManager[Connection]:
        """A transaction that sees this tenant and nothing else. Raises Unavailable."""
        return _Translated(self._database.tenant_transaction(tenant_id, read_only=read_only))

    def system(self, reason: str, *, read_only: bool = False) -> AbstractAsyncContextManager[Connection]:
        """A transaction of the role that holds the mesh's keys; the reason is for the log. Raises Unavailable."""
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
        "CREDENTIALS_UNVERIFIABLE",
        "Accounts and credentials can't be read at the moment. Retry with backoff.",
        retry_after=timedelta(seconds=1),
    )
