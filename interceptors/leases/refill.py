"""How a process comes by units for those who wait: from the pool, and where that has too little, from the ledger."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tenantmesh.interceptors.errors import MeshError
from tenantmesh.interceptors.leases.holding import Holding, Pending
from tenantmesh.interceptors.leases.sources import Sources
from tenantmesh.interceptors.leases.tenant_holdings import TenantHoldings
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, PoolSlice, Slice

__all__ = ["Conversation"]

REFUSED_FOR = 1.0
"""Seconds for which a meter that was found empty is not asked for again, unless its entitlements change."""


class Lack(NamedTuple):
    """How much of a meter whoever is first in the queue lacks."""

    holding: Holding
    need: int


class PoolClock(NamedTuple):
    """What the pool's clock showed, and when it was heard here."""

    shown: float
    at: float


class Conversation:
    """One at a time for each tenant. `hold` is told of each holding that got something."""

    def __init__(
        self,
        sources: Sources,
        lock: threading.Lock,
        clock: Callable[[], float],
        hold: Callable[[TenantHoldings, Holding], None],
    ) -> None:
        self._sources = sources
        self._lock = lock
        self._clock = clock
        self._hold = hold

    async def until_all_are_answered(self, tenant: TenantHoldings, *, modest: bool) -> None:
        """Asks again and again while somebody waits. `modest` is to take no more than is needed."""
        try:
            while True:
                with self._lock:
                    tenant.serve(self._clock())
                    if not tenant.waiting:
                        return
                    lacks = self._lacks(tenant, modest=modest)
                try:
                    await self._provide(tenant, lacks)
                except StoreUnavailable as error:
                    tenant.fail(error, everybody=True)
                except MeshError as error:
                    tenant.fail(error, everybody=False)
        except BaseException as error:
            tenant.fail(StoreUnavailable("asking for units failed"), everybody=True)
            if not isinstance(error, asyncio.CancelledError):
                raise
        finally:
            tenant.refill = None

    def _lacks(self, tenant: TenantHoldings, *, modest: bool) -> list[Lack]:
        """What whoever is first in the queue lacks. Never empty: what lacks nothing has been served."""
        now, found = self._clock(), []
        for charge in tenant.waiting[0].charges:
            holding = tenant.holdings[charge.meter]
            if modest:
                holding.demand, holding.taken = 0.0, 0
            units = holding.units if now < holding.ends_at else 0
            if units < charge.cost:
                holding.measure(now)
                found.append(Lack(holding, charge.cost - int(units)))
        return found

    async def _provide(self, tenant: TenantHoldings, lacks: list[Lack]) -> None:
        """Gets what lacks, or marks the meters of which there is too little anywhere.

        The pool comes first, but for meters whose limit is not known: the limit has to be learnt from the ledger, so
        that units which were leased under a higher one are not used.
        """
        changes = tenant.changes
        if tenant.returning:
            await self.give_back(tenant)  # else the last units might be on their way back while they are looked for
        heard: PoolClock | None = None
        known = all(lack.holding.limit is not None for lack in lacks)
        if known:
            lacks, heard = await self._from_pool(tenant, lacks)
        if not lacks:
            return
        dry = await self._from_ledger(tenant, lacks, heard)
        if dry and not known:
            dry, _ = await self._from_pool(tenant, [lack for lack in dry if lack.holding.limit is not None])
        if dry and any(lack.need > 1 for lack in dry):
            # Pool and ledger may have enough together.
            for lack in dry:
                await self._sources.drain(tenant.id, lack.holding.meter)
            dry = await self._from_ledger(tenant, dry, None)
        with self._lock:
            now = self._clock()
            for holding, need in dry if changes == tenant.changes else ():
                holding.refuse(int(holding.units) + need, min(now + REFUSED_FOR, holding.ends_at))

    async def _from_pool(self, tenant: TenantHoldings, lacks: list[Lack]) -> tuple[list[Lack], PoolClock | None]:
        """Takes from the pool. Returns what it does not have, and its clock; without a pool everything, and None."""
        if not lacks:
            return [], None
        sent, changes = self._clock(), tenant.changes
        asks = [Ask(holding.meter, holding.slice(need), need) for holding, need in lacks]
        answer = await self._sources.take(tenant.id, asks, [holding.limit or 0 for holding, _ in lacks])
        if answer is None:
            return lacks, None
        with self._lock:
            for lack, found in zip(lacks, answer.slices, strict=True):
                if found is not None and found.granted:
                    ends_at = sent + found.ends_in.total_seconds()
                    units = Slice(
                        found.meter, found.granted, found.left, found.limit, found.period_start, found.ends_in
                    )
                    self._receive(tenant, lack.holding, units, found.granted, ends_at, changes)
                    lack.holding.pooled = found.pooled
        missing = [lack for lack, found in zip(lacks, answer.slices, strict=True) if found is None]
        return missing, PoolClock(answer.clock, self._clock())

    async def _from_ledger(self, tenant: TenantHoldings, lacks: Sequence[Lack], heard: PoolClock | None) -> list[Lack]:
        """Leases from the ledger, and leaves in the pool what is not for this process. Returns what there is too little
        of."""
        sent, changes = self._clock(), tenant.changes
        pooling = heard is not None
        asks = [Ask(holding.meter, holding.lease(need, pooling=pooling), need) for holding, need in lacks]
        slices = await self._sources.lease(tenant.id, asks)
        dry, rests = [], []
        with self._lock:
            for lack, units in zip(lacks, slices, strict=True):
                holding, ends_at = lack.holding, sent + units.ends_in.total_seconds()
                if units.limit is None:
                    if changes == tenant.changes:
                        tenant.give_up(holding.unlimited(ends_at))
                    continue
                kept = holding.share(lack.need, units.granted, units.left) if pooling else units.granted
                self._receive(tenant, holding, units, kept, ends_at, changes)
                if units.granted > kept:
                    holding.pooled = units.granted - kept
                    rests.append((units, units.granted - kept, ends_at))
                if units.granted < lack.need:
                    dry.append((lack, units.left))
            tenant.serve(self._clock())
        for units, rest, ends_at in rests:
            until = None if heard is None else heard.shown + ends_at - heard.at
            self._keep(tenant, await self._sources.add(tenant.id, units, rest, until))
        # Where one is short all get nothing, and the others are not to blame.
        short = [lack for lack, left in dry if left < lack.need]
        return short or [lack for lack, _ in dry]

    def _receive(
        self,
        tenant: TenantHoldings,
        holding: Holding,
        units: Slice | PoolSlice,
        amount: int,
        ends_at: float,
        changes: int,
    ) -> None:
        """Puts units into the holding; those that were asked for before the entitlements changed go back."""
        if changes != tenant.changes:
            late = Pending(holding.meter, amount, units.period_start)
            tenant.give_up(late if amount else None)
        else:
            ledgers = isinstance(units, Slice)
            tenant.give_up(holding.hold(amount, units.period_start, ends_at, ledgers=ledgers))
            holding.learn(units.limit or 0, units.left, 0)
        self._hold(tenant, holding)

    async def give_back(self, tenant: TenantHoldings) -> None:
        """Gives back what is on its way, and keeps what can't be returned now."""
        with self._lock:
            returning, tenant.returning = tenant.returning, []
        try:
            while returning:
                self._keep(tenant, await self._sources.give_back(tenant.id, returning.pop()))
        finally:
            with self._lock:
                tenant.returning += returning  # where this was ended before it came to them

    def _keep(self, tenant: TenantHoldings, units: Pending | None) -> None:
        with self._lock:
            if units is not None and not tenant.keep(units):
                tenant.give_up(units)
