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

from interceptors.tenants import TenantId

__all__ = ["Ask", "PoolSlice", "QuotaLedger", "QuotaPool", "Slice"]


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
    """How long the units can be used, from when they were asked for."""


class QuotaLedger(Protocol):
    """Gives out allowances. Adapters: tenant_svc's PostgreSQL, that over gRPC, and memory."""

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask]) -> Sequence[Slice]:
        """Must take from all meters or none: from each at least `need`, at most `want`; in the order of the asks.

        Where one has less than needed, every `granted` is 0 and `left` says what there is. Must raise NotFound
        `FEATURE_NOT_FOUND` for what is no METERED feature, and StoreUnavailable when it can't know; then the caller
        must take it that everything it asked for is gone.
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
    pooled: int
    """What is left in the pool."""
    left: int
    """What the ledger had left when it last filled the pool."""
    limit: int
    period_start: datetime
    ends_in: timedelta


class QuotaPool(Protocol):
    """Holds units for all processes. Adapters: Redis and memory. All methods raise StoreUnavailable."""

    async def take(self, tenant_id: TenantId, asks: Sequence[Ask], limits: Sequence[int]) -> Sequence[PoolSlice | None]:
        """Must take from all meters or none, at once; None for a meter whose pool has nothing for this period.

        `limits` are the limits the caller knows of: a pool that was filled under a higher one must not be taken from
        and is left for `drain`. The slice must be adaptive: never more than an eighth of what the pool and the ledger
        have left together, and at least `need`.
        """
        ...

    async def add(self, tenant_id: TenantId, units: Slice, amount: int) -> None:
        """Must add units of the ledger's slice to the pool of its period, whose end is the pool's own clock plus
        `units.ends_in`."""
        ...

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime) -> bool:
        """Must return units to the pool of that period; False when there is none, and then nothing was done."""
        ...

    async def drain(self, tenant_id: TenantId, meter: str) -> tuple[int, datetime] | None:
        """Must empty the meter's pool and return what was in it, with its period; None when there was none."""
        ...
