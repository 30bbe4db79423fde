"""Allowances of a period, as data, and the two ports that keep them.

The ledger (tenant_svc's PostgreSQL) is the truth: what it gives out is never more than the tenant is entitled to. The
pool (Redis or Valkey) holds units that the ledger has given out and no process has taken yet. A process takes slices
from the pool and charges calls to its slice. So every unit is given once, whatever is lost on the way: losing the pool
or a process can only forfeit units, never double them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from tenantmesh.interceptors.tenants import TenantId

__all__ = ["LARGEST_AMOUNT", "Ask", "Drained", "PoolAnswer", "PoolSlice", "QuotaLedger", "QuotaPool", "Slice"]

LARGEST_AMOUNT = 2**53 - 1
"""The largest amount: up to here JSON readers and Redis scripts, which count in floating point, are exact."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one meter: as much as `want` if it is there, and nothing if it is less than `need`."""

    meter: str
    want: int
    need: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Units of one meter that the ledger gave, and what there is."""

    meter: str
    granted: int
    left: int
    """What the ledger can still give in this period."""
    limit: int | None
    """The allowance of the period with grants; None is unlimited, and then nothing was taken or needs to be."""
    period_start: datetime
    """Names the period, on the ledger's clock."""
    ends_in: timedelta
    """How long the units can be used, from when they were asked for: until the period ends. What is unlimited must be
    asked for again then, or sooner where it is so for a time only."""


class QuotaLedger(Protocol):
    """Gives out allowances. Adapters: tenant_svc's PostgreSQL, that over gRPC, and memory."""

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask]) -> Sequence[Slice]:
        """Must take from all meters or none: from each at least `need`, at most `want`; in the order of the asks.

        Where one has less than needed, every `granted` is 0 and `left` says what there is. Must raise NotFound
        `FEATURE_NOT_FOUND` for what is no METERED feature, another MeshError where it refuses, and StoreUnavailable
        when it can't know, for this tenant or at all; then the caller must take it that everything it asked for is
        gone.
        """
        ...

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime) -> None:
        """Must return units that were leased and not used. The caller must not repeat it: when it raises
        StoreUnavailable, the units are forfeited."""
        ...


@dataclass(frozen=True, slots=True)
class PoolSlice:
    """Units of one meter that came out of the pool."""

    meter: str
    granted: int
    """Zero where another meter that was asked for had too little."""
    pooled: int
    """What is left in the pool."""
    left: int
    """What the ledger had left when it last filled the pool."""
    limit: int
    period_start: datetime
    ends_in: timedelta


@dataclass(frozen=True, slots=True)
class PoolAnswer:
    """What the pool gave, in the order of the asks; None for a meter of which it has too little."""

    slices: Sequence[PoolSlice | None]
    clock: float
    """The pool's own clock when it answered, in seconds. Says nothing to anybody but the pool."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What was in a pool, and the period it belongs to."""

    amount: int
    period_start: datetime


class QuotaPool(Protocol):
    """Holds units for all processes. Adapters: Redis and memory. All methods raise StoreUnavailable; then the caller
    must take it that the units concerned are gone."""

    async def take(self, tenant_id: TenantId, asks: Sequence[Ask], limits: Sequence[int]) -> PoolAnswer:
        """Must take from all meters or none, at once.

        `limits` are the limits the caller knows of: a pool that was filled under a higher one must not be taken from
        and is left for `drain`. The slice must be adaptive: never more than an eighth of what the pool and the ledger
        have left together, unless that is less than `need`. Units must never come out of it twice, whatever the store
        forgets or remembers when it is restarted or replaced.
        """
        ...

    async def add(self, tenant_id: TenantId, units: Slice, amount: int, until: float) -> bool:
        """Must add so many of the ledger's units to the pool of their period, to be used until then on the pool's
        clock. False, and nothing done, where the pool is of another limit or a later period."""
        ...

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, limit: int) -> bool:
        """Must return units, which were leased under that limit, to the pool of their period. False, and nothing done,
        where there is none, or one of another limit."""
        ...

    async def drain(self, tenant_id: TenantId, meter: str, idle_for: timedelta = timedelta()) -> Drained | None:
        """Must empty the meter's pool and say what was in it; None when there was nothing, or when somebody took from
        it less than `idle_for` ago."""
        ...
