"""What this process holds of tenants' allowances, and the arithmetic of how much to hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenantmesh.interceptors.quotas import LARGEST_AMOUNT

if TYPE_CHECKING:
    from tenantmesh.interceptors.leases.tenant_holdings import TenantHoldings


__all__ = ["UNLIMITED", "Holding", "Pending", "Shortage", "Taken"]

UNLIMITED = math.inf
SLICE_SECONDS = 0.25
"""A slice of the pool is what came in this time."""
LEASE_SECONDS = 1.0
"""What is leased from the ledger is what came in this time, the pool's part included."""
LEASE_SHARE = 20
"""A lease is at most this part of what the ledger had left, unless more is needed."""
SLICE_SHARE = 8
"""The same for a slice, of what pool and ledger have left."""
RECEIPTS = 32
DEMAND_SECONDS = 0.5
"""How fast the measure of demand forgets."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a charge was not taken: the meter that has less than was needed."""

    meter: str
    limit: int
    resets_in: float
    """Seconds until its next period."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Units of one meter that a call took, so that they can be given back."""

    tenant: TenantHoldings
    holding: Holding
    amount: int
    period_start: datetime | None
    changes: int
    """How often the tenant's entitlements had changed: units of before a change are not used after it."""

    @property
    def usable(self) -> bool:
        """Whether the units are of the period and the entitlements that are in force, and may be taken again."""
        holding = self.holding
        unchanged = self.changes == self.tenant.changes and holding.limit is not None
        return unchanged and self.period_start == holding.period_start


@dataclass(frozen=True, slots=True)
class Pending:
    """Units on their way back."""

    meter: str
    amount: int
    period_start: datetime
    limit: int | None = None
    """What they were leased under, where the pool of that limit may have them; else they go straight to the ledger."""


class Holding:
    """What is held of one tenant's meter."""

    __slots__ = (
        "demand",
        "ends_at",
        "left",
        "limit",
        "looks",
        "measured_at",
        "meter",
        "period_start",
        "pooled",
        "receipts",
        "refused_cost",
        "refused_until",
        "taken",
        "units",
        "used",
        "wanted",
    )  # fmt: skip

    def __init__(self, meter: str, now: float) -> None:
        self.meter = meter
        self.units: float = 0
        self.period_start: datetime | None = None
        """The period that the units belong to, and when it ends."""
        self.ends_at = self.refused_until = -math.inf
        self.refused_cost = 0
        self.limit: int | None = None
        """The allowance with grants, as the ledger said last; None until it is known, and while it is unlimited."""
        self.left = self.pooled = 0
        """What ledger and pool had left when they were asked last."""
        self.wanted = 0
        """Calls that wait for units: nobody passes them."""
        self.taken = 0
        self.measured_at = now
        self.demand = 0.0
        self.used = False
        """Whether something was taken since the last look."""
        self.looks = 0
        """How many looks are left at whether the pool is idle."""
        self.receipts: dict[int, tuple[Taken, ...]] = {}
        """What calls that take so much of this period have taken: made once, since nearly all take the same."""

    def measure(self, now: float) -> None:
        """Brings the demand, in units per second, up to date."""
        taken, self.taken = self.taken, 0
        seconds = max(now - self.measured_at, 1e-3)
        self.measured_at = now
        self.demand += (taken / seconds - self.demand) * min(1.0, seconds / DEMAND_SECONDS)

    def slice(self, need: int) -> int:
        """How much to want of the pool."""
        return max(need, int(self.demand * SLICE_SECONDS))

    def lease(self, need: int, *, pooling: bool) -> int:
        """How much to want of the ledger. Less where there is no pool for the rest."""
        seconds = LEASE_SECONDS if pooling else SLICE_SECONDS
        return max(need, min(int(self.demand * seconds), self.left // LEASE_SHARE))

    def share(self, need: int, granted: int, left: int) -> int:
        """How much of a lease to hold here; the rest is for the pool."""
        return min(granted, self.slice(need), max(need, (granted + left) // SLICE_SHARE))

    @property
    def limited(self) -> bool:
        """Whether units are held that somebody else could use."""
        return 0 < self.units < UNLIMITED

    @property
    def remaining(self) -> int:
        """An estimate of what is left over all processes."""
        return int(min(self.units, LARGEST_AMOUNT)) + self.left + self.pooled

    def receipt(self, tenant: TenantHoldings, amount: int) -> tuple[Taken, ...]:
        """What a call that takes the amount has to give back if need be."""
        known = self.receipts.get(amount)
        if known is None:
            known = () if self.units == UNLIMITED else (Taken(tenant, self, amount, self.period_start, tenant.changes),)
            if len(self.receipts) < RECEIPTS:
                self.receipts[amount] = known
        return known

    def learn(self, limit: int, left: int, pooled: int) -> None:
        """Notes what ledger and pool said."""
        self.limit, self.left, self.pooled = limit, left, pooled

    def hold(self, units: int, period_start: datetime, ends_at: float, *, ledgers: bool) -> Pending | None:
        """Adds units of a period, and returns those of another one, which are of no use here any more.

        Which period it is, the ledger says. A pool that has units of a period before the one that is known, as one may
        whose clock was set back, is not believed.
        """
        if self.period_start is not None and period_start < self.period_start and not ledgers:
            return Pending(self.meter, units, period_start) if units else None
        if period_start != self.period_start:
            over = self._pending(self.units)
            self.units, self.period_start, self.ends_at = units, period_start, ends_at
            self.receipts = {}
            return over
        self.units += units
        self.ends_at = min(self.ends_at, ends_at)
        return None

    def worth_keeping(self) -> float:
        """How much to go on holding, at a look. All, while somebody waits for more. Nothing, where nothing was taken
        since the last look. Else what is held, unless it would last for longer than a lease should; then a slice. That
        is a quarter of a lease, so that nobody whose calls come evenly gives back what it asks for the next moment."""
        if self.wanted:
            return self.units
        if not self.used:
            return 0
        return self.units if self.units <= self.demand * LEASE_SECONDS else self.slice(1)

    def release(self, *, keep: float = 0, to_ledger: bool = False) -> Pending | None:
        """Takes units out, to be given back."""
        over = self._pending(self.units - keep, None if to_ledger else self.limit)
        if over is not None:
            self.units = keep
        return over

    def forget(self) -> Pending | None:
        """Takes all units out and forgets what was known, since the entitlements may be others now."""
        over = self.release(to_ledger=True)
        self.units, self.limit, self.left, self.pooled = 0, None, 0, 0
        self.receipts = {}
        self.refused_until = -math.inf
        return over

    def refuse(self, cost: int, until: float) -> None:
        """Remembers that there is less than the cost."""
        self.refused_cost, self.refused_until = cost, until

    def _pending(self, units: float, limit: int | None = None) -> Pending | None:
        if not units or units == UNLIMITED or self.period_start is None:
            return None
        return Pending(self.meter, int(units), self.period_start, limit)

    def unlimited(self, ends_at: float) -> Pending | None:
        """Needs nothing from anybody until then, and returns what is held."""
        over = self._pending(self.units)
        self.units, self.period_start, self.ends_at = UNLIMITED, None, ends_at
        self.limit, self.receipts = None, {}
        return over
