"""Counts what there is of a tenant, in both services and in the store."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.tenant_rows import TenantRows
from tenantmesh.interceptors.errors import Unavailable
from tenantmesh.interceptors.keys import tenant_keys
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.redis_client import RedisUnavailable, StoreClient
from tenantmesh.runtime.redis_client.families import count_family, delete_family
from tenantmesh.tenant_svc.purges import repository
from tenantmesh.tenant_svc.purges.accounts import TenantAccounts
from tenantmesh.tenant_svc.purges.purge import Amounts
from tenantmesh.tenant_svc.tenants.content import Content

__all__ = ["StoreKeys", "TenantAmounts"]


class StoreKeys:
    """The keys of tenants in the store of limits. Without a store there are none.

    Every method raises Unavailable while the store is away.
    """

    def __init__(self, client: StoreClient | None) -> None:
        self._client = client

    async def count(self, tenant_id: TenantId) -> int:
        """Return the number of the tenant's keys."""
        if self._client is None:
            return 0
        try:
            return await count_family(self._client, tenant_keys(tenant_id))
        except RedisUnavailable as error:
            raise _away() from error

    async def delete(self, tenant_id: TenantId) -> int:
        """Delete the tenant's keys and return how many there were."""
        if self._client is None:
            return 0
        try:
            return await delete_family(self._client, tenant_keys(tenant_id))
        except RedisUnavailable as error:
            raise _away() from error


class TenantAmounts:
    """The use case. jobs: the door of the role that works on jobs; without it they are not counted."""

    def __init__(
        self, doors: Doors, rows: TenantRows, accounts: TenantAccounts, store: StoreKeys, jobs: Doors | None = None
    ) -> None:
        self._doors = doors
        self._rows = rows
        self._accounts = accounts
        self._store = store
        self._jobs = jobs

    async def count(self, tenant_id: TenantId) -> Amounts:
        """Count everything. Raises Unavailable while a part of it can't be asked."""
        accounts = await self._accounts.count(tenant_id)
        async with self._doors.tenant(tenant_id, read_only=True) as connection:
            rows = await self._rows.counts(connection, tenant_id)
        return Amounts(
            rows={**rows, **accounts.rows},
            sessions=accounts.sessions,
            passwords=accounts.passwords,
            store_keys=await self._store.count(tenant_id),
            jobs=await self._count_jobs(tenant_id),
        )

    async def contents(self, tenant_id: TenantId) -> Sequence[Content]:
        """Count everything, as `Contents`: what a deletion or a purge would destroy."""
        return (await self.count(tenant_id)).contents

    async def _count_jobs(self, tenant_id: TenantId) -> int:
        if self._jobs is None:
            return 0
        async with self._jobs.tenant(tenant_id, read_only=True) as connection:
            return await repository.count_jobs(connection, tenant_id)


def _away() -> Unavailable:
    return Unavailable("LIMITER_UNAVAILABLE", "The store of limits can't be asked at the moment. Retry with backoff.")
