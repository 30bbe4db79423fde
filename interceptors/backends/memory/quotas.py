"""The pool and the ledger of allowances in memory: for one process, and for tests."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.quotas import Ask, Drained, PoolAnswer, PoolSlice, Slice
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["MemoryQuotaLedger", "MemoryQuotaPool"]

Limits = Callable[[TenantId, str], int | None]
"""The allowance of a tenant's meter with grants; None is unlimited. Raises NotFound `FEATURE_NOT_FOUND`."""

SHARE = 8
"""A slice is at most an eighth of what pool and ledger have left."""


@dataclass(slots=True)
class _Pool:
    period_start: datetime
    until: float
    units: int
    left: int
    limit: int
    touched: float


class MemoryQuotaPool:
    """A QuotaPool over a dictionary."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pools: dict[tuple[TenantId, str], _Pool] = {}
        self._account = str(uuid.uuid4())
        self._clock = clock

    async def accounts(self) -> Sequence[str]:
        """As `QuotaPool.accounts`."""
        return (self._account,)

    async def take(self, tenant_id: TenantId, asks: Sequence[Ask], limits: Sequence[int]) -> PoolAnswer:
        """As `QuotaPool.take`; never unavailable."""
        now = self._clock()
        found = []
        for ask, limit in zip(asks, limits, strict=True):
            pool = self._pool(tenant_id, ask.meter)
            found.append(pool if pool is not None and pool.limit <= limit and pool.units >= ask.need else None)
        enough = all(pool is not None for pool in found)
        slices = [
            None if pool is None else self._sliced(pool, ask, now, enough=enough)
            for ask, pool in zip(asks, found, strict=True)
        ]
        return PoolAnswer(slices, now)

    def _sliced(self, pool: _Pool, ask: Ask, now: float, *, enough: bool) -> PoolSlice:
        granted = min(ask.want, pool.units, max(ask.need, (pool.units + pool.left) // SHARE)) if enough else 0
        if granted:
            pool.units -= granted
            pool.touched = now
        ends_in = timedelta(seconds=pool.until - now)
        return PoolSlice(ask.meter, granted, pool.units, pool.left, pool.limit, pool.period_start, ends_in)

    async def add(self, tenant_id: TenantId, units: Slice, amount: int, until: float) -> bool:
        """As `QuotaPool.add`."""
        now, pool = self._clock(), self._pool(tenant_id, units.meter)
        if until <= now or units.limit is None or (pool is not None and pool.period_start > units.period_start):
            return False
        if pool is not None and pool.period_start == units.period_start:
            if pool.limit != units.limit:
                return False
            amount, until = amount + pool.units, min(until, pool.until)
        self._pools[tenant_id, units.meter] = _Pool(units.period_start, until, amount, units.left, units.limit, now)
        return True

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, limit: int) -> bool:
        """As `QuotaPool.give_back`."""
        pool = self._pool(tenant_id, meter)
        if pool is None or pool.period_start != period_start or pool.limit != limit:
            return False
        pool.units += amount
        return True

    async def drain(self, tenant_id: TenantId, meter: str, idle_for: timedelta = timedelta()) -> Drained | None:
        """As `QuotaPool.drain`."""
        pool = self._pool(tenant_id, meter)
        if pool is None or self._clock() - pool.touched < idle_for.total_seconds():
            return None
        del self._pools[tenant_id, meter]
        return Drained(pool.units, pool.period_start) if pool.units else None

    def held(self, tenant_id: TenantId, meter: str) -> int:
        """Return the units in the meter's pool."""
        pool = self._pool(tenant_id, meter)
        return 0 if pool is None else pool.units

    def _pool(self, tenant_id: TenantId, meter: str) -> _Pool | None:
        pool = self._pools.get((tenant_id, meter))
        if pool is not None and pool.until <= self._clock():
            del self._pools[tenant_id, meter]
            return None
        return pool


class MemoryQuotaLedger:
    """A QuotaLedger over a dictionary. All periods have the same length and are counted from the epoch."""

    def __init__(
        self,
        limits: Limits,
        *,
        period: timedelta = timedelta(days=1),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._limits = limits
        self._period = period
        self._now = now
        self._given: dict[tuple[TenantId, str, datetime], int] = {}
        self._out: dict[tuple[TenantId, str, datetime, str], int] = {}

    def given(self, tenant_id: TenantId, meter: str) -> int:
        """Return the units of the running period that are given out: used, or in a pool or a process."""
        return self._given.get((tenant_id, meter, self._started()), 0)

    async def answers(self) -> bool:
        """As `QuotaLedger.answers`."""
        return True

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], account: str = "") -> Sequence[Slice]:
        """As `QuotaLedger.lease`; never unavailable."""
        found = [self._slice(tenant_id, ask.meter) for ask in asks]
        enough = all(each.limit is None or each.left >= ask.need for ask, each in zip(asks, found, strict=True))
        if not enough:
            return found
        return [self._taken(tenant_id, ask, each, account) for ask, each in zip(asks, found, strict=True)]

    async def give_back(
        self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, accounts: Sequence[str] = ("",)
    ) -> int:
        """As `QuotaLedger.give_back`."""
        self._limits(tenant_id, meter)
        row, back = (tenant_id, meter, period_start), 0
        if not any(self._out.get((*row, account)) for account in accounts):
            raise NotFound("LEASE_NOT_FOUND", f"No units of {meter} are out under these accounts in that period.")
        for account in accounts:
            part = min(amount - back, self._out.get((*row, account), 0))
            self._out[*row, account] = self._out.get((*row, account), 0) - part
            back += part
        self._given[row] -= back
        return back

    def _taken(self, tenant_id: TenantId, ask: Ask, found: Slice, account: str) -> Slice:
        if found.limit is None:
            return replace(found, granted=ask.want)
        granted = min(ask.want, found.left)
        row = (tenant_id, ask.meter, found.period_start)
        self._given[row] = self._given.get(row, 0) + granted
        self._out[*row, account] = self._out.get((*row, account), 0) + granted
        return replace(found, granted=granted, left=found.left - granted)

    def _slice(self, tenant_id: TenantId, meter: str) -> Slice:
        limit, started = self._limits(tenant_id, meter), self._started()
        left = 0 if limit is None else max(0, limit - self._given.get((tenant_id, meter, started), 0))
        return Slice(meter, 0, left, limit, started, started + self._period - self._now())

    def _started(self) -> datetime:
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return epoch + (self._now() - epoch) // self._period * self._period
