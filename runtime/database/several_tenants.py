"""One transaction over rows of several tenants, one tenant after the other.

It is for changes of many tenants of which all or none shall count. Each tenant's part sees that tenant alone, as in a
transaction of its own: row-level security holds for every statement. A part that fails is undone, and the next begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from uuid import UUID

from tenantmesh.runtime.database.errors import InternalDatabaseError
from tenantmesh.runtime.database.transaction import Connection, Transaction

__all__ = ["SeveralTenants", "tenant_literal"]

_ENTER = "SAVEPOINT of_tenant; SET LOCAL app.tenant_id = '{}'"
_LEAVE = "RELEASE SAVEPOINT of_tenant; SET LOCAL app.tenant_id = ''"
_UNDO = "ROLLBACK TO SAVEPOINT of_tenant; RELEASE SAVEPOINT of_tenant; SET LOCAL app.tenant_id = ''"


class SeveralTenants:
    """`async with` opens the transaction; leaving commits, an exception rolls back. Made by `Database`.

    connection: for statements about no tenant. Rows of tenants are out of its reach.
    """

    connection: Connection

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._inside = False

    async def __aenter__(self) -> Self:
        self.connection = await self._transaction.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transaction.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def of(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """Give a connection that sees this tenant and nothing else. What it has done is undone when the block raises.

        Use one at a time. The nil UUID is refused.
        """
        if self._inside:
            raise InternalDatabaseError("another tenant's part is open in this transaction already")
        await self.connection.rescope(_ENTER.format(tenant_literal(tenant_id)))
        self._inside = True
        part = self.connection.part()
        try:
            yield part
        except BaseException:
            part.end()
            self._inside = False
            self.connection.lost = part.lost
            if not part.lost:
                await self.connection.rescope(_UNDO)
            raise
        part.end()
        self._inside = False
        await self.connection.rescope(_LEAVE)


def tenant_literal(tenant_id: UUID) -> str:
    """Return the tenant as SQL may hold it: 32 hexadecimal digits made from a number, so that nothing that a caller
    passes can become SQL."""
    if not isinstance(tenant_id, UUID) or tenant_id.int == 0:
        raise InternalDatabaseError("tenant context: a tenant's UUID is needed, and never the nil UUID")
    return f"{tenant_id.int:032x}"
