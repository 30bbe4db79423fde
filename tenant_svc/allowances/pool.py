"""What of a tenant's allowances was given out and lies ready in the pool: it is not used yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, QuotaPool
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.allowances.ledger import Ledger

__all__ = ["PoolDrain", "PoolReader"]

_ANY_LIMIT = 2**53
"""What the pool was filled under does not matter to who only looks."""


class PoolReader:
    """Looks into the pool. While that is away nothing lies ready, as for everybody else."""

    def __init__(self, pool: QuotaPool) -> None:
        self._pool = pool

    async def __call__(self, tenant_id: TenantId, meters: Sequence[str]) -> Mapping[str, int]:
        """Units by meter."""
        if not meters:
            return {}
        try:
            answer = await self._pool.take(
                tenant_id, [Ask(meter, 0, 0) for meter in meters], [_ANY_LIMIT] * len(meters)
            )
        except StoreUnavailable:
            return {}
        return {each.meter: each.pooled for each in answer.slices if each is not None}


class PoolDrain:
    """Takes back into the ledger what lies ready. Only processes that serve a tenant look after its pool: once they are
    gone, killed or at rest, nobody else does before the period ends."""

    def __init__(self, pool: QuotaPool, ledger: Ledger) -> None:
        self._pool = pool
        self._ledger = ledger

    async def __call__(self, tenant_id: TenantId, meters: Sequence[str]) -> None:
        """Empties the meters' pools. Units are gone where their way into the ledger ends in Unavailable."""
        for meter in meters:
            try:
                found = await self._pool.drain(tenant_id, meter)
            except StoreUnavailable:
                return
            if found is not None:
                await self._ledger.give_back(tenant_id, meter, found.amount, found.period_start)
