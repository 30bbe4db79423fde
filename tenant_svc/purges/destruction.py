"""Destroys what there is of a tenant, one kind after the other, and looks for what is left. Each may be repeated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from sqlalchemy import Table

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.tenant_rows import TenantRows
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.purges import repository
from tenantmesh.tenant_svc.purges.accounts import TenantAccounts
from tenantmesh.tenant_svc.purges.amounts import StoreKeys, TenantAmounts
from tenantmesh.tenant_svc.purges.purge import Amounts

__all__ = ["Destruction"]

_BATCH = 1_000
"""Rows that one transaction removes."""
_OF_ACCOUNTS = "auth_svc"

_Reached = Callable[[str, int], Awaitable[None]]
"""Told, after each batch, in which table it was and how many rows are gone so far."""


class Destruction:
    """All methods raise Unavailable while something they need is away.

    rows: the tables of this service. last: those that go last, such as the tenant's own.
    erasing: the door of the role that deletes rows. jobs: the door of the role that works on jobs.
    """

    def __init__(
        self,
        rows: TenantRows,
        last: Iterable[Table],
        *,
        erasing: Doors,
        jobs: Doors,
        accounts: TenantAccounts,
        store: StoreKeys,
    ) -> None:
        self._rows = rows
        self._last = {table.fullname for table in last}
        self._erasing = erasing
        self._jobs = jobs
        self._accounts = accounts
        self._store = store
        self._amounts = TenantAmounts(erasing, rows, accounts, store, jobs)

    async def count(self, tenant_id: TenantId) -> Amounts:
        """Count everything."""
        return await self._amounts.count(tenant_id)

    async def accounts(self, tenant_id: TenantId, reached: _Reached) -> int:
        """Destroy what auth_svc holds, and return the number of rows. Raises FailedPrecondition when it refuses."""
        gone, more = 0, True
        while more:
            removed, more = await self._accounts.purge(tenant_id, _BATCH)
            gone += removed
            await reached(_OF_ACCOUNTS, gone)
        return gone

    async def rows(self, tenant_id: TenantId, reached: _Reached) -> int:
        """Delete the rows of every table but the last ones, children before parents. Return how many there were."""
        tables = [table.fullname for table in self._rows.tables if table.fullname not in self._last]
        return await self._delete(tenant_id, tables, reached)

    async def tenant(self, tenant_id: TenantId, reached: _Reached) -> int:
        """Delete the rows of the last tables, and the tenant itself after them. Return how many there were.

        The rows of the other tables go first, once more: what a call under way has added would hold the tenant's own.
        """
        late = await self.rows(tenant_id, reached)
        tables = [table.fullname for table in self._rows.tables if table.fullname in self._last]
        return late + await self._delete(tenant_id, tables, reached)

    async def jobs(self, tenant_id: TenantId) -> int:
        """Delete the jobs that name the tenant, and what the queue's log says about them. Return the number of jobs."""
        async with self._jobs.tenant(tenant_id) as connection:
            return await repository.delete_jobs(connection, tenant_id)

    async def store(self, tenant_id: TenantId) -> int:
        """Delete the tenant's keys in the store of limits, and return how many there were."""
        return await self._store.delete(tenant_id)

    async def left(self, tenant_id: TenantId, *, besides_tenant: bool) -> Mapping[str, int | None]:
        """Return what is left, by table with its schema and by kind: of every table with tenants that the databases'
        catalogs know. None for a table that can't be read.

        besides_tenant: leave out the tables that go last. What calls and jobs under way have added since goes now.
        """
        kept = self._last if besides_tenant else frozenset()
        found = await self._found(tenant_id, kept)
        if any(found.values()):
            await self._remove_late(tenant_id)
            found = await self._found(tenant_id, kept)
        return found

    async def _found(self, tenant_id: TenantId, kept: Collection[str]) -> dict[str, int | None]:
        async with self._erasing.tenant(tenant_id, read_only=True) as connection:
            rows = await self._rows.left(connection, tenant_id)
        counted = await self._others(tenant_id)
        return {**{table: count for table, count in rows.items() if table not in kept}, **counted}

    async def _remove_late(self, tenant_id: TenantId) -> None:
        await self.accounts(tenant_id, _unheard)
        await self.rows(tenant_id, _unheard)
        await self.jobs(tenant_id)
        await self.store(tenant_id)

    async def _others(self, tenant_id: TenantId) -> dict[str, int]:
        accounts = await self._accounts.count(tenant_id)
        async with self._jobs.tenant(tenant_id, read_only=True) as connection:
            jobs = await repository.count_jobs(connection, tenant_id)
        return {**accounts.rows, "jobs": jobs, "store_keys": await self._store.count(tenant_id)}

    async def _delete(self, tenant_id: TenantId, tables: Sequence[str], reached: _Reached) -> int:
        gone = 0
        for table in tables:
            batch = _BATCH
            while batch == _BATCH:
                async with self._erasing.tenant(tenant_id) as connection:
                    batch = await self._rows.delete(connection, tenant_id, table, _BATCH)
                gone += batch
                await reached(table, gone)
        return gone


async def _unheard(_table: str, _rows: int) -> None:
    """Tell nobody."""
