"""What this process holds of one tenant's allowances, and who waits for more."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from tenantmesh.interceptors.leases.holding import Holding, Pending, Shortage, Taken
from tenantmesh.interceptors.policy import Charge
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["Decided", "TenantHoldings", "Waiter"]

Decided: TypeAlias = tuple[Taken, ...] | Shortage
"""What a call took, or why it did not."""


class Waiter:
    """A call that waits until all its charges can be taken."""

    __slots__ = ("answer", "charges")

    def __init__(self, charges: Sequence[Charge]) -> None:
        self.charges = charges
        self.answer: asyncio.Future[Decided] = asyncio.get_running_loop().create_future()


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

    def take_one(self, charge: Charge, now: float) -> tuple[Taken, ...] | None:
        """Takes a single charge, as nearly all calls have; as `take`."""
        holding = self.holdings.get(charge.meter)
        if holding is None:
            return None
        cost = charge.cost
        if holding.units < cost or holding.wanted or now >= holding.ends_at:
            return None
        holding.units -= cost
        holding.taken += cost
        holding.used = True
        return holding.receipts.get(cost) or holding.receipt(self, cost)

    def take(self, charges: Sequence[Charge], now: float, *, in_turn: bool) -> tuple[Taken, ...] | None:
        """Takes all charges or none. `in_turn` is for those who have waited, whom nobody may pass."""
        found = []
        for charge in charges:
            holding = self.holdings.get(charge.meter)
            if holding is None or holding.units < charge.cost or now >= holding.ends_at:
                return None
            if holding.wanted and not in_turn:
                return None
            found.append(holding)
        taken: list[Taken] = []
        for holding, charge in zip(found, charges, strict=True):
            holding.units -= charge.cost
            if not in_turn:
                holding.taken += charge.cost  # of those who waited it was counted when they came
            holding.used = True
            taken += holding.receipt(self, charge.cost)
        return tuple(taken)

    def decide(self, charges: Sequence[Charge], now: float, *, in_turn: bool = False) -> Decided | None:
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
            outcome: Decided | None = None
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
        if units.limit is None or holding.limit != units.limit or holding.period_start != units.period_start:
            return False
        holding.units += units.amount
        return True

    def lose(self) -> int:
        """Takes out whatever is left, and says how many units that was."""
        for holding in self.holdings.values():
            self.give_up(holding.release())
        lost, self.returning = self.returning, []
        return sum(units.amount for units in lost)

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost if this were forgotten. That there is no limit can be asked again."""
        return not (self.waiting or self.returning or self.refill or any(h.limited for h in self.holdings.values()))

    def in_demand(self, now: float) -> bool:
        """Whether something was taken since demand was measured, which is done again then."""
        taken = [holding for holding in self.holdings.values() if holding.taken]
        for holding in taken:
            holding.measure(now)
        return bool(taken)
