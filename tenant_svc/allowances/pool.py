"""The pool of a tenant's allowances: units that the ledger has given out and that any process may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Drained, QuotaPool
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.allowances.holder import LeaseHolder
from tenantmesh.tenant_svc.allowances.ledger import Ledger

__all__ = ["PoolDrain", "PoolReader"]

_log = structlog.get_logger()

_ANY_LIMIT = 2**53
"""A pool needs a limit only for taking units; reading passes any."""


class PoolReader:
    """A reader of the units in the pool. It reads none while the pool is away."""

    def __init__(self, pool: QuotaPool) -> None:
        self._pool = pool

    async def __call__(self, tenant_id: TenantId, meters: Sequence[str]) -> Mapping[str, int]:
        """Return the units in the pool, by meter."""
        if not meters:
            return {}
        try:
            answer = await self._pool.take(
                tenant_id, [Ask(meter, 0, 0) for meter in meters], [_ANY_LIMIT] * len(meters)
            )
        except StoreUnavailable:
            return {}
        return {part.meter: part.pooled for part in answer.slices if part is not None}


class PoolDrain:
    """The return of the pool's units to the ledger.

    Otherwise only processes that serve a tenant empty its pool: without them the units stay there until the period
    ends.
    """

    def __init__(self, pool: QuotaPool, ledger: Ledger) -> None:
        self._pool = pool
        self._ledger = ledger

    async def __call__(self, tenant_id: TenantId, meters: Sequence[str]) -> None:
        """Empty the meters' pools. Units are lost where the ledger is Unavailable after that."""
        for meter in meters:
            try:
                accounts = tuple(await self._pool.accounts())
                found = await self._pool.drain(tenant_id, meter)
            except StoreUnavailable:
                return
            if found is not None:
                await self._give_back(tenant_id, meter, found, LeaseHolder(accounts=accounts))

    async def _give_back(self, tenant_id: TenantId, meter: str, found: Drained, holder: LeaseHolder) -> None:
        try:
            await self._ledger.give_back(tenant_id, meter, found.amount, found.period_start, holder)
        except NotFound as error:  # the account of a store that has forgotten it: the units count as used
            _log.warning("units of a pool could not be returned", tenant=str(tenant_id), meter=meter, error=str(error))
