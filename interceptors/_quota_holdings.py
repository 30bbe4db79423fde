"""What this process holds of tenants' allowances, and the arithmetic of how much to hold."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from interceptors.policy import Charge
from interceptors.tenants import TenantId

__all__ = ["Holding", "Pending", "Shortage", "Taken", "TenantHoldings", "Waiter"]

UNLIMITED = math.inf
SLICE_SECONDS = 0.25
"""A slice of the pool is what came in this time."""
LEASE_SECONDS = 1.0
"""What is leased from the ledger is what came in this time, the pool's part included."""
LEASE_SHARE = 20
"""A lease is at most this part of what the ledger had left, unless more is needed."""
SLICE_SHARE = 8
"""The same for a slice, of what pool and ledger have left."""
DEMAND_SECONDS = 0.5
"""How fast the measure of demand forgets."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a charge was not taken: the meter that has less than was needed."""

    meter: str
    limit: int
    resets_in: float
    """Seconds until its next period."""


class Taken:
    """Units of one meter that a call took, so that they can be given back."""

    __slots__ = ("amount", "holding", "period_start", "tenant")

    def __init__(self, tenant: TenantHoldings, holding: Holding, amount: int) -> None:
        self.tenant = tenant
        self.holding = holding
        self.amount = amount
        self.period_start = holding.period_start


@dataclass(frozen=True, slots=True)
class Pending:
    """Units on their way back: to the pool if it is there, or straight to the ledger."""

    meter: str
    amount: int
    period_start: datetime
    to_ledger: bool = False


class Waiter:
    """A call that waits until all its charges can be taken."""

    __slots__ = ("answer", "charges")

    def __init__(self, charges: Sequence[Charge]) -> None:
        self.charges = charges
        self.answer: asyncio.Future[list[Taken] | Shortage] = asyncio.get_running_loop().create_future()


class Holding:
    """What is held of one tenant's meter."""

    __slots__ = (
        "demand", "ends_at", "left", "limit", "looks", "measured_at", "meter", "period_start", "pooled", "refused_cost",
        "refused_until", "taken", "text", "units", "used", "wanted",
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
        self.text = ""
        """For `ratelimit-policy`."""

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
    def remaining(self) -> int:
        """An estimate of what is left over all processes."""
        return int(self.units) + self.left + self.pooled

    def learn(self, limit: int, left: int, pooled: int) -> None:
        """Notes what ledger and pool said."""
        if limit != self.limit or not self.text:
            self.limit, self.text = limit, f'{limit};name="{self.meter}"'
        self.left, self.pooled = left, pooled

    def hold(self, units: int, period_start: datetime, ends_at: float, *, ledgers: bool) -> Pending | None:
        """Adds units of a period, and returns those of another one, which are of no use here any more.

        Which period it is, the ledger says. A pool that has units of a period before the one that is known, as one may
        whose clock was set back, is not believed.
        """
        if self.period_start is not None and period_start < self.period_start and not ledgers:
            return Pending(self.meter, units, period_start, to_ledger=True) if units else None
        if period_start != self.period_start:
            over = self._pending(self.units)
            self.units, self.period_start, self.ends_at = units, period_start, ends_at
            return over
        self.units += units
        self.ends_at = min(self.ends_at, ends_at)
        return None

    def release(self, *, to_ledger: bool = False) -> Pending | None:
        """Takes all units out, to be given back."""
        over = self._pending(self.units, to_ledger=to_ledger)
        if over is not None:
            self.units = 0
        return over

    def forget(self) -> Pending | None:
        """Takes all units out and forgets what was known, since the entitlements may be others now."""
        over = self.release(to_ledger=True)
        self.units, self.limit, self.text, self.left, self.pooled = 0, None, "", 0, 0
        self.refused_until = -math.inf
        return over

    def refuse(self, cost: int, until: float) -> None:
        """Remembers that there is less than the cost."""
        self.refused_cost, self.refused_until = cost, until

    def _pending(self, units: float, *, to_ledger: bool = True) -> Pending | None:
        if not units or units == UNLIMITED or self.period_start is None:
            return None
        return Pending(self.meter, int(units), self.period_start, to_ledger)

    def unlimited(self) -> None:
        """Needs nothing from anybody until the entitlements change."""
        self.units = self.ends_at = UNLIMITED
        self.limit = None


class TenantHoldings:
    """What is held of one tenant's meters, and who waits for more."""

    __slots__ = ("changes", "holdings", "id", "refill", "returning", "waiting")

    def __init__(self, tenant_id: TenantId) -> None:
        self.id = tenant_id
        self.holdings: dict[str, Holding] = {}
        self.waiting: deque[Waiter] = deque()
        self.refill: asyncio.Task[None] | None = None
        self.returning: list[Pending] = []
        self.changes = 0
        """How often the tenant's entitlements have changed: an answer that was asked for before is not used."""

    def holding(self, meter: str, now: float) -> Holding:
        """The meter's holding, made on first use."""
        found = self.holdings.get(meter)
        if found is None:
            found = self.holdings[meter] = Holding(meter, now)
        return found

    def take(self, charges: Sequence[Charge], now: float, *, in_turn: bool) -> list[Taken] | None:
        """Takes all charges or none. `in_turn` is for those who have waited, whom nobody may pass."""
        found = []
        for charge in charges:
            holding = self.holdings.get(charge.meter)
            if holding is None or holding.units < charge.cost or now >= holding.ends_at:
                return None
            if holding.wanted and not in_turn:
                return None
            found.append(holding)
        taken = []
        for holding, charge in zip(found, charges, strict=True):
            holding.units -= charge.cost
            if not in_turn:
                holding.taken += charge.cost  # of those who waited it was counted when they came
            holding.used = True
            if holding.units != UNLIMITED:
                taken.append(Taken(self, holding, charge.cost))
        return taken

    def decide(self, charges: Sequence[Charge], now: float, *, in_turn: bool = False) -> list[Taken] | Shortage | None:
        """Takes all charges, or says why that is impossible; None where it has to be found out."""
        taken = self.take(charges, now, in_turn=in_turn)
        return self._refused(charges, now) if taken is None else taken

    def _refused(self, charges: Sequence[Charge], now: float) -> Shortage | None:
        for charge in charges:
            holding = self.holdings.get(charge.meter)
            if holding is not None and now < holding.refused_until and charge.cost >= holding.refused_cost:
                return Shortage(charge.meter, holding.limit or 0, max(0.0, holding.ends_at - now))
        return None

    def enqueue(self, waiter: Waiter) -> None:
        """Has the waiter wait for its turn."""
        self.waiting.append(waiter)
        for charge in waiter.charges:
            holding = self.holdings[charge.meter]
            holding.wanted += 1
            holding.taken += charge.cost

    def serve(self, now: float) -> None:
        """Answers everybody who can be answered, in the order in which they came."""
        for _ in range(len(self.waiting)):
            waiter = self.waiting.popleft()
            outcome: list[Taken] | Shortage | None = None
            if not waiter.answer.done():
                outcome = self.decide(waiter.charges, now, in_turn=True)
                if outcome is None:
                    self.waiting.append(waiter)
                    continue
                waiter.answer.set_result(outcome)
            self._unqueue(waiter)

    def fail(self, error: Exception, *, everybody: bool) -> None:
        """Tells whoever is first in the queue, or everybody in it, what went wrong."""
        for _ in range(len(self.waiting) if everybody else min(1, len(self.waiting))):
            waiter = self.waiting.popleft()
            self._unqueue(waiter)
            if not waiter.answer.done():
                waiter.answer.set_exception(error)

    def _unqueue(self, waiter: Waiter) -> None:
        for charge in waiter.charges:
            self.holdings[charge.meter].wanted -= 1

    def forget(self) -> None:
        """Stops using what is held, since the entitlements may be others now."""
        self.changes += 1
        for holding in self.holdings.values():
            self.give_up(holding.forget())

    def give_up(self, units: Pending | None) -> None:
        """Notes units that are to be given back."""
        if units is not None:
            self.returning.append(units)

    def keep(self, units: Pending) -> bool:
        """Puts units back into their holding, where they can be used until they can be returned."""
        holding = self.holdings[units.meter]
        if units.to_ledger or holding.limit is None or holding.period_start != units.period_start:
            return False
        holding.units += units.amount
        return True

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost if this were forgotten."""
        return not (self.waiting or self.returning or self.refill or any(h.units for h in self.holdings.values()))
