"""One tenant in this process: its holdings, its waiting calls, and the units to return.

The package explains the words.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from tenantmesh.interceptors.leases.holding import UNLIMITED, Holding, Return
from tenantmesh.interceptors.quotas import Charge, Shortage
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["ChargeOutcome", "Receipt", "TenantHoldings", "Waiter", "combined"]

RECEIPTS = 32
"""Receipts that are cached per meter."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Units of one meter that a call took, so that they can be refunded."""

    tenant: TenantHoldings
    holding: Holding
    amount: int
    period_start: datetime | None
    generation: int
    """The tenant's generation at the charge."""

    @property
    def reusable(self) -> bool:
        """True when the units belong to the running period and generation, so that another call may take them."""
        holding = self.holding
        current = self.generation == self.tenant.generation and holding.limit is not None
        return current and self.period_start == holding.period_start


ChargeOutcome: TypeAlias = tuple[Receipt, ...] | Shortage
"""A receipt for each meter that was charged, or the reason why none was."""


class Waiter:
    """A call that waits until all its charges can be taken."""

    __slots__ = ("answer", "charges")

    def __init__(self, charges: Sequence[Charge]) -> None:
        self.charges = charges
        self.answer: asyncio.Future[ChargeOutcome] = asyncio.get_running_loop().create_future()


class TenantHoldings:
    """The state of one tenant. The engine's lock guards it."""

    __slots__ = ("generation", "holdings", "id", "refill", "returns", "waiters")

    def __init__(self, tenant_id: TenantId) -> None:
        self.id = tenant_id
        self.holdings: dict[str, Holding] = {}
        self.waiters: deque[Waiter] = deque()
        self.refill: asyncio.Task[None] | None = None
        self.returns: list[Return] = []
        self.generation = 0
        """Counts changes of the entitlements. Units of an older generation must not be charged."""

    def holding(self, meter: str, now: float) -> Holding:
        """Return the meter's holding, made on first use."""
        found = self.holdings.get(meter)
        if found is None:
            found = self.holdings[meter] = Holding(meter, now)
        return found

    def take_one(self, charge: Charge, now: float) -> tuple[Receipt, ...] | None:
        """As `take`, for a single charge: nearly all calls have one."""
        holding = self.holdings.get(charge.meter)
        if holding is None:
            return None
        cost = charge.cost
        if holding.units < cost or holding.waiting or now >= holding.ends_at:
            return None
        holding.units -= cost
        holding.requested += cost
        holding.used = True
        return holding.receipts.get(cost) or self._receipt(holding, cost)

    def take(self, charges: Sequence[Charge], now: float, *, in_turn: bool) -> tuple[Receipt, ...] | None:
        """Take all charges or none. `in_turn` is for the call whose turn it is: others must not pass waiting calls."""
        found = []
        for charge in charges:
            holding = self.holdings.get(charge.meter)
            if holding is None or holding.units < charge.cost or now >= holding.ends_at:
                return None
            if holding.waiting and not in_turn:
                return None
            found.append(holding)
        receipts: list[Receipt] = []
        for holding, charge in zip(found, charges, strict=True):
            holding.units -= charge.cost
            if not in_turn:
                holding.requested += charge.cost  # a waiting call's request was counted when it came
            holding.used = True
            receipts += self._receipt(holding, charge.cost)
        return tuple(receipts)

    def _receipt(self, holding: Holding, amount: int) -> tuple[Receipt, ...]:
        """Return the receipt of a call that took the amount; an empty tuple if the meter is unlimited."""
        known: tuple[Receipt, ...] | None = holding.receipts.get(amount)
        if known is None:
            unlimited = holding.units == UNLIMITED
            known = () if unlimited else (Receipt(self, holding, amount, holding.period_start, self.generation),)
            if len(holding.receipts) < RECEIPTS:
                holding.receipts[amount] = known
        return known

    def decide(self, charges: Sequence[Charge], now: float, *, in_turn: bool = False) -> ChargeOutcome | None:
        """Take all charges, or say which meter is short; None when pool or ledger must be asked."""
        receipts = self.take(charges, now, in_turn=in_turn)
        return self._shortage(charges, now) if receipts is None else receipts

    def _shortage(self, charges: Sequence[Charge], now: float) -> Shortage | None:
        for charge in charges:
            holding = self.holdings.get(charge.meter)
            if holding is not None and now < holding.refused_until and charge.cost >= holding.refused_cost:
                return Shortage(charge.meter, holding.limit or 0, max(0.0, holding.ends_at - now))
        return None

    def spent(self, charges: Sequence[Charge], now: float) -> Shortage | None:
        """Return the meter that is known to be used up for the rest of its period; None where nothing shows that."""
        for charge in charges:
            holding = self.holdings[charge.meter]
            if holding.spent(charge.cost, now):
                return Shortage(charge.meter, holding.limit or 0, holding.ends_at - now)
        return None

    def enqueue(self, waiter: Waiter) -> None:
        """Append the call to the queue."""
        self.waiters.append(waiter)
        for charge in waiter.charges:
            holding = self.holdings[charge.meter]
            holding.waiting += 1
            holding.requested += charge.cost

    def serve(self, now: float) -> None:
        """Answer every waiting call that can be decided, in the order of the queue."""
        for _ in range(len(self.waiters)):
            waiter = self.waiters.popleft()
            outcome: ChargeOutcome | None = None
            if not waiter.answer.done():
                outcome = self.decide(waiter.charges, now, in_turn=True)
                if outcome is None:
                    self.waiters.append(waiter)
                    continue
                waiter.answer.set_result(outcome)
            self._dequeued(waiter)

    def fail(self, error: Exception, *, everybody: bool) -> None:
        """Raise the error in every waiting call, or in the first one alone."""
        for _ in range(len(self.waiters) if everybody else min(1, len(self.waiters))):
            waiter = self.waiters.popleft()
            self._dequeued(waiter)
            if not waiter.answer.done():
                waiter.answer.set_exception(error)

    def refuse_spent(self, now: float) -> None:
        """Refuse the waiting calls whose meters are known to be used up."""
        for _ in range(len(self.waiters)):
            waiter = self.waiters.popleft()
            short = None if waiter.answer.done() else self.spent(waiter.charges, now)
            if short is None:
                self.waiters.append(waiter)
                continue
            self._dequeued(waiter)
            waiter.answer.set_result(short)

    def _dequeued(self, waiter: Waiter) -> None:
        for charge in waiter.charges:
            self.holdings[charge.meter].waiting -= 1

    def invalidate(self) -> None:
        """Begin a new generation: the entitlements may have changed."""
        self.generation += 1
        for holding in self.holdings.values():
            self.add_return(holding.invalidate())

    def add_return(self, units: Return | None) -> None:
        """Append units to those to return."""
        if units is not None:
            self.returns.append(units)

    def put_back(self, units: Return) -> bool:
        """Put units that can't be returned now into their holding, where calls may use them. False if its limit or
        period is another one."""
        holding = self.holdings[units.meter]
        if units.limit is None or holding.limit != units.limit or holding.period_start != units.period_start:
            return False
        holding.units += units.amount
        return True

    def forfeit(self) -> int:
        """Drop all units. Returns how many there were."""
        for holding in self.holdings.values():
            self.add_return(holding.release())
        dropped, self.returns = self.returns, []
        return sum(units.amount for units in dropped)

    @property
    def idle(self) -> bool:
        """True when evicting the tenant loses nothing: no units, no waiting call, no refill."""
        return not (self.waiters or self.returns or self.refill or any(h.returnable for h in self.holdings.values()))

    def measure_demand(self, now: float) -> bool:
        """Measure the demand of each meter. Returns whether any unit was requested since the last time."""
        requested = [holding for holding in self.holdings.values() if holding.requested]
        for holding in requested:
            holding.measure(now)
        return bool(requested)


def combined(receipts: Iterable[Receipt], more: Iterable[Receipt]) -> Sequence[Receipt]:
    """Return all receipts, those of the same meter, period and generation added up."""
    added = {_kind(receipt): receipt for receipt in receipts}
    for receipt in more:
        same = added.get(_kind(receipt))
        added[_kind(receipt)] = receipt if same is None else replace(same, amount=same.amount + receipt.amount)
    return tuple(added.values())


def _kind(receipt: Receipt) -> tuple[Holding, datetime | None, int]:
    return receipt.holding, receipt.period_start, receipt.generation
