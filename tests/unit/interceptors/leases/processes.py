"""Several processes that charge the same allowances, for tests of the engine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger, MemoryQuotaPool
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.leases.allowances import LeasedQuota, Receipt
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Charge, QuotaLedger, QuotaPool, Shortage
from tenantmesh.interceptors.tenants import TenantId

RESERVE = 0.5
"""Seconds for which idle pools stay in tests."""
READS = (Charge("reads"),)
BOTH = (Charge("reads"), Charge("writes", 2))


class Mesh:
    """Several processes, one pool, one ledger."""

    def __init__(self, **limits: int | None) -> None:
        self.limits: dict[str, int | None] = dict(limits)
        self.ledger: Any = MemoryQuotaLedger(self._limit)
        self.pool: Any = MemoryQuotaPool()
        self.tenant = TenantId(uuid.uuid4())
        self.processes: list[LeasedQuota] = []

    def _limit(self, _tenant: TenantId, meter: str) -> int | None:
        if meter not in self.limits:
            raise NotFound("FEATURE_NOT_FOUND", "No such feature.")
        return self.limits[meter]

    async def process(
        self, *, pool: QuotaPool | None = None, ledger: QuotaLedger | None = None, **options: Any
    ) -> LeasedQuota:
        made = LeasedQuota(ledger or self.ledger, pool or self.pool, **{"reserve_seconds": RESERVE, **options})
        await made.start()
        self.processes.append(made)
        return made

    async def charge(self, process: LeasedQuota, charges: Sequence[Charge] = READS) -> bool:
        found = process.charge_now(self.tenant, charges, process.clock())
        if found is None:
            found = await process.charge(self.tenant, charges)
        return not isinstance(found, Shortage)

    def given(self, meter: str = "reads") -> int:
        return int(self.ledger.given(self.tenant, meter))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # a condition of the engine's, which has no event
                await asyncio.sleep(0.01)


class Away:
    """A store that can be away, before what it was asked or after it, and forget."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.before = self.after = False

    def __getattr__(self, name: str) -> Any:
        async def asked(*args: Any) -> Any:
            if name == "answers":
                return not (self.before or self.after)
            if self.before:
                raise StoreUnavailable("away")
            answer = await getattr(self.store, name)(*args)
            if self.after:
                raise StoreUnavailable("away")
            return answer

        return asked


async def taken_of(
    process: LeasedQuota, mesh: Mesh, charges: Sequence[Charge], tenant: TenantId | None = None
) -> tuple[Receipt, ...]:
    found = await process.charge(tenant or mesh.tenant, charges)
    assert not isinstance(found, Shortage)
    return found
