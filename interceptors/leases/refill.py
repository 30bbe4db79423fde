"""Gets units for a tenant's waiting calls: from the pool, and where that has too little, from the ledger.

The package explains the words.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.leases.holding import Holding, Return
from tenantmesh.interceptors.leases.reserves import Reserves
from tenantmesh.interceptors.leases.sources import Sources
from tenantmesh.interceptors.leases.tenant_holdings import TenantHoldings
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, PoolSlice, Slice

__all__ = ["Refill"]

REFUSED_SECONDS = 1.0
"""Seconds for which an empty meter is refused without asking again, unless its entitlements change."""


class Shortfall(NamedTuple):
    """The units of one meter that the first waiting call lacks."""

    holding: Holding
    need: int


class PoolClock(NamedTuple):
    """The pool's clock when it answered, and the engine's clock then."""

    time: float
    read_at: float


class Surplus(NamedTuple):
    """The part of a lease that is for the pool."""

    units: Slice
    amount: int
    ends_at: float


class Refill:
    """Serves waiting calls: one run per tenant at a time. Calls `on_refilled` for each holding that may have to return
    units later."""

    def __init__(
        self,
        sources: Sources,
        lock: threading.Lock,
        clock: Callable[[], float],
        on_refilled: Callable[[TenantHoldings, Holding], None],
        reserves: Reserves,
    ) -> None:
        self._sources = sources
        self._reserves = reserves
        self.minimal = False
        """True to take no more than calls need, since the engine is closed."""
        self._lock = lock
        self._clock = clock
        self._on_refilled = on_refilled

    async def serve_all(self, tenant: TenantHoldings) -> None:
        """Refill until no call of the tenant waits."""
        try:
            while True:
                with self._lock:
                    tenant.serve(self._clock())
                    if not tenant.waiters:
                        return
                    shortfalls = self._shortfalls(tenant)
                try:
                    await self._refill(tenant, shortfalls)
                except StoreUnavailable as error:
                    with self._lock:
                        tenant.refuse_spent(self._clock())
                    tenant.fail(error, everybody=True)
                except MeshError as error:
                    tenant.fail(error, everybody=False)
        except BaseException as error:
            tenant.fail(StoreUnavailable("asking for units failed"), everybody=True)
            if not isinstance(error, asyncio.CancelledError):
                raise
        finally:
            tenant.refill = None

    def _shortfalls(self, tenant: TenantHoldings) -> list[Shortfall]:
        """Return what the first waiting call lacks. Never empty: a call that lacks nothing has been served."""
        now, found = self._clock(), []
        for charge in tenant.waiters[0].charges:
            holding = tenant.holdings[charge.meter]
            if self.minimal:
                holding.demand, holding.requested = 0.0, 0
            units = holding.units if now < holding.ends_at else 0
            if units < charge.cost:
                holding.measure(now)
                found.append(Shortfall(holding, charge.cost - int(units)))
        return found

    async def _refill(self, tenant: TenantHoldings, shortfalls: list[Shortfall]) -> None:
        """Get units for the shortfalls, or refuse the meters of which pool and ledger have too little.

        The pool comes first, unless a meter's limit is unknown. Then the ledger must tell it first, so that units
        which were leased under a higher limit are not charged.
        """
        generation, pool_clock = tenant.generation, None
        if tenant.returns:
            await self.give_back(tenant)  # first, since these may be the last units
        limits_known = all(holding.limit is not None for holding, _ in shortfalls)
        if limits_known:
            shortfalls, pool_clock = await self._take_from_pool(tenant, shortfalls)
        if not shortfalls:
            return
        unmet = await self._lease(tenant, shortfalls, pool_clock)
        if not limits_known:
            limited = [shortfall for shortfall in unmet if shortfall.holding.limit is not None]
            unmet, _ = await self._take_from_pool(tenant, limited)
        if any(need > 1 for _, need in unmet):
            # Pool and ledger may have enough together.
            for holding, _ in unmet:
                await self._sources.drain(tenant.id, holding.meter)
            unmet = await self._lease(tenant, unmet, None)
        self._refuse(tenant, unmet, generation)

    def _refuse(self, tenant: TenantHoldings, unmet: Iterable[Shortfall], generation: int) -> None:
        with self._lock:
            if generation != tenant.generation:
                return
            now = self._clock()
            for holding, need in unmet:
                holding.refuse(int(holding.units) + need, min(now + REFUSED_SECONDS, holding.ends_at))

    async def _take_from_pool(
        self, tenant: TenantHoldings, shortfalls: list[Shortfall]
    ) -> tuple[list[Shortfall], PoolClock | None]:
        """Take slices from the pool. Returns the shortfalls that it can't meet, and its clock; without a pool all, and
        None."""
        if not shortfalls:
            return [], None
        sent, generation = self._clock(), tenant.generation
        asks = [Ask(holding.meter, holding.slice_size(need), need) for holding, need in shortfalls]
        answer = await self._sources.take(tenant.id, asks, [holding.limit or 0 for holding, _ in shortfalls])
        if answer is None:
            return shortfalls, None
        unmet = []
        with self._lock:
            for shortfall, units in zip(shortfalls, answer.slices, strict=True):
                if units is None:
                    unmet.append(shortfall)
                elif units.granted:
                    ends_at = sent + units.ends_in.total_seconds()
                    self._receive(tenant, shortfall.holding, units, units.granted, ends_at, generation)
                    shortfall.holding.pooled = units.pooled
        return unmet, PoolClock(answer.clock, self._clock())

    async def _lease(
        self, tenant: TenantHoldings, shortfalls: Sequence[Shortfall], pool_clock: PoolClock | None
    ) -> list[Shortfall]:
        """Lease from the ledger, and put the surplus into the pool. Returns the shortfalls that it can't meet."""
        sent, generation = self._clock(), tenant.generation
        pooling = pool_clock is not None
        asks = [
            Ask(holding.meter, self._lease_size(holding, need, sent, pooling=pooling), need)
            for holding, need in shortfalls
        ]
        slices = await self._sources.lease(tenant.id, asks)
        surpluses = []
        with self._lock:
            for shortfall, units in zip(shortfalls, slices, strict=True):
                ends_at = sent + units.ends_in.total_seconds()
                amount = self._receive_lease(tenant, shortfall, units, ends_at, generation, pooling=pooling)
                if amount:
                    surpluses.append(Surplus(units, amount, ends_at))
            tenant.serve(self._clock())
        for units, amount, ends_at in surpluses:
            until = None if pool_clock is None else pool_clock.time + ends_at - pool_clock.read_at
            self._keep(tenant, await self._sources.add(tenant.id, units, amount, until))
        return _unmet(shortfalls, slices)

    def _lease_size(self, holding: Holding, need: int, now: float, *, pooling: bool) -> int:
        reserve = 0 if self.minimal else self._reserves.size(holding, now)
        return holding.lease_size(need, reserve, pooling=pooling)

    def _receive_lease(
        self,
        tenant: TenantHoldings,
        shortfall: Shortfall,
        units: Slice,
        ends_at: float,
        generation: int,
        *,
        pooling: bool,
    ) -> int:
        """Put this process's share of one leased slice into its holding. Returns the surplus."""
        holding = shortfall.holding
        if units.limit is None:
            if generation == tenant.generation:
                tenant.add_return(holding.make_unlimited(ends_at))
            return 0
        share = holding.share_of_lease(shortfall.need, units.granted, units.left) if pooling else units.granted
        self._receive(tenant, holding, units, share, ends_at, generation)
        surplus = units.granted - share
        if surplus:
            holding.pooled = surplus
        return surplus

    def _receive(
        self,
        tenant: TenantHoldings,
        holding: Holding,
        units: Slice | PoolSlice,
        amount: int,
        ends_at: float,
        generation: int,
    ) -> None:
        """Put units into the holding. Those that were asked for in an older generation are returned."""
        if generation != tenant.generation:
            tenant.add_return(Return(holding.meter, amount, units.period_start) if amount else None)
        else:
            from_ledger = isinstance(units, Slice)
            tenant.add_return(holding.add(amount, units.period_start, ends_at, from_ledger=from_ledger))
            holding.update_stock(units.limit or 0, units.left, 0)
        self._on_refilled(tenant, holding)

    async def give_back(self, tenant: TenantHoldings) -> None:
        """Return the tenant's units. Those that can't be returned now stay with it."""
        with self._lock:
            returns, tenant.returns = tenant.returns, []
        try:
            while returns:
                self._keep(tenant, await self._sources.give_back(tenant.id, returns.pop()))
        finally:
            with self._lock:
                tenant.returns += returns  # those that a cancellation left

    def _keep(self, tenant: TenantHoldings, units: Return | None) -> None:
        with self._lock:
            if units is not None and not tenant.put_back(units):
                tenant.add_return(units)


def _unmet(shortfalls: Sequence[Shortfall], slices: Sequence[Slice]) -> list[Shortfall]:
    """Return the shortfalls that the ledger did not meet. If one meter is short, the ledger gives nothing of any meter:
    then return the short ones alone."""
    asked = list(zip(shortfalls, slices, strict=True))
    unmet = [(shortfall, units) for shortfall, units in asked if _too_little(units, shortfall.need)]
    short = [shortfall for shortfall, units in unmet if units.left < shortfall.need]
    return short or [shortfall for shortfall, _ in unmet]


def _too_little(units: Slice, need: int) -> bool:
    return units.limit is not None and units.granted < need
