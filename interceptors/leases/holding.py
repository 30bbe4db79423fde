"""One meter of one tenant in this process: the units it holds, and the arithmetic of how many to take, lease and keep.

The package explains the words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tenantmesh.interceptors.limits import SHORT
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT

__all__ = ["UNLIMITED", "Holding", "Return"]

UNLIMITED = math.inf
SLICE_SECONDS = 0.25
"""A slice covers the demand of this time."""
LEASE_SECONDS = 1.0
"""A lease covers the demand of this time, the pool's part included."""
LEASE_SHARE = 20
"""A lease is at most one part in so many of what the ledger has left, unless a call needs more."""
SLICE_SHARE = 8
"""A slice is at most one part in so many of what pool and ledger have left, unless a call needs more."""
DEMAND_SECONDS = 0.5
"""Time constant of the average that measures demand."""


@dataclass(frozen=True, slots=True)
class Return:
    """Units to return."""

    meter: str
    amount: int
    period_start: datetime
    limit: int | None = None
    """The limit that they were leased under: the pool of that limit may have them. None: to the ledger."""


class Holding:
    """The state of one tenant's meter."""

    __slots__ = (
        "demand",
        "ends_at",
        "left",
        "limit",
        "measured_at",
        "meter",
        "period_start",
        "pooled",
        "receipts",
        "refused_cost",
        "refused_until",
        "requested",
        "units",
        "used",
        "waiting",
    )  # fmt: skip

    def __init__(self, meter: str, now: float) -> None:
        self.meter = meter
        self.units: float = 0
        self.period_start: datetime | None = None
        """The period of the units, and when it ends."""
        self.ends_at = self.refused_until = -math.inf
        self.refused_cost = 0
        self.limit: int | None = None
        """The allowance with grants, as the ledger said last; None until it is known, and while it is unlimited."""
        self.left = self.pooled = 0
        """The units left in the ledger and in the pool, by their last answers."""
        self.waiting = 0
        """Calls that wait for units. Later calls must not pass them."""
        self.requested = 0
        """Units that calls requested since `measured_at`, and per second before that."""
        self.measured_at = now
        self.demand = 0.0
        self.used = False
        """True when a call took units since the last tick."""
        self.receipts: dict[int, tuple[Any, ...]] = {}
        """The receipts of this period and generation by amount. Nearly all calls share one."""

    def measure(self, now: float) -> None:
        """Update the demand, in units per second."""
        requested, self.requested = self.requested, 0
        seconds = max(now - self.measured_at, 1e-3)
        self.measured_at = now
        self.demand += (requested / seconds - self.demand) * min(1.0, seconds / DEMAND_SECONDS)

    def slice_size(self, need: int) -> int:
        """Units to ask of the pool."""
        return max(need, int(self.demand * SLICE_SECONDS))

    def lease_size(self, need: int, reserve: int, *, pooling: bool) -> int:
        """Units to ask of the ledger. Fewer without a pool that takes the surplus and the reserve."""
        wanted = int(self.demand * LEASE_SECONDS) + reserve if pooling else int(self.demand * SLICE_SECONDS)
        return max(need, min(wanted, self.left // LEASE_SHARE))

    def share_of_lease(self, need: int, granted: int, left: int) -> int:
        """Units of a lease to hold here. The surplus is for the pool."""
        return min(granted, self.slice_size(need), max(need, (granted + left) // SLICE_SHARE))

    @property
    def returnable(self) -> bool:
        """True when it holds units that another process could use."""
        return 0 < self.units < UNLIMITED

    @property
    def remaining(self) -> int:
        """An estimate of what is left over all processes."""
        return int(min(self.units, LARGEST_AMOUNT)) + self.left + self.pooled

    @property
    def runs_short(self) -> bool:
        """True when less than a quarter of the allowance is left; see `limits.SHORT`."""
        limit = self.limit
        return limit is not None and (self.units + self.left + self.pooled) * SHORT < limit

    def spent(self, cost: int, now: float) -> bool:
        """Return whether pool and ledger have said of this period that fewer units are left than the cost."""
        return self.limit is not None and now < self.ends_at and self.remaining < cost

    def update_stock(self, limit: int, left: int, pooled: int) -> None:
        """Store what ledger and pool said of themselves."""
        self.limit, self.left, self.pooled = limit, left, pooled

    def add(self, units: int, period_start: datetime, ends_at: float, *, from_ledger: bool) -> Return | None:
        """Add units of a period. Returns the units of any other period, which are of no use here.

        The ledger says which period it is. A pool whose clock was set back may offer units of an earlier one: those
        are not added.
        """
        if self.period_start is not None and period_start < self.period_start and not from_ledger:
            return Return(self.meter, units, period_start) if units else None
        if period_start != self.period_start:
            returned = self._return(self.units)
            self.units, self.period_start, self.ends_at = units, period_start, ends_at
            self.receipts = {}
            return returned
        self.units += units
        self.ends_at = min(self.ends_at, ends_at)
        return None

    def units_to_keep(self) -> float:
        """Units to keep at this tick: all while callers wait; none if unused since the last tick; else up to one lease
        of demand, and above that one slice. Keeping a slice stops steady traffic from returning units that it needs
        again at once."""
        if self.waiting:
            return self.units
        if not self.used:
            return 0
        return self.units if self.units <= self.demand * LEASE_SECONDS else self.slice_size(1)

    def release(self, *, keep: float = 0, to_ledger: bool = False) -> Return | None:
        """Remove units above `keep`. Returns them, for the pool or for the ledger."""
        returned = self._return(self.units - keep, None if to_ledger else self.limit)
        if returned is not None:
            self.units = keep
        return returned

    def invalidate(self) -> Return | None:
        """Remove all units and all that depends on the entitlements, which may have changed. Returns the units."""
        returned = self.release(to_ledger=True)
        self.units, self.limit, self.left, self.pooled = 0, None, 0, 0
        self.receipts = {}
        self.refused_until = -math.inf
        return returned

    def refuse(self, cost: int, until: float) -> None:
        """Refuse this cost, and larger ones, until then."""
        self.refused_cost, self.refused_until = cost, until

    def make_unlimited(self, ends_at: float) -> Return | None:
        """Charge without limit until then. Returns the units."""
        returned = self._return(self.units)
        self.units, self.period_start, self.ends_at = UNLIMITED, None, ends_at
        self.limit, self.receipts = None, {}
        return returned

    def _return(self, units: float, limit: int | None = None) -> Return | None:
        if not units or units == UNLIMITED or self.period_start is None:
            return None
        return Return(self.meter, int(units), self.period_start, limit)
