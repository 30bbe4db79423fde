"""Charges calls to tenants' allowances: exactly, over all processes, and nearly always from memory.

The package shows the picture and explains the words. One lock guards all state and is never held across a wait, so
that the threads of a `grpc.server` may charge and refund. Everything that waits runs on the chain's loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any

from tenantmesh.interceptors.leases.holding import UNLIMITED, Holding, Return
from tenantmesh.interceptors.leases.refill import Refill
from tenantmesh.interceptors.leases.reserves import RESERVE_SECONDS, RESERVE_SHARE, Reserves
from tenantmesh.interceptors.leases.sources import Sources
from tenantmesh.interceptors.leases.tenant_holdings import ChargeOutcome, Receipt, TenantHoldings, Waiter, combined
from tenantmesh.interceptors.quotas import Charge, QuotaLedger, QuotaPool, Shortage
from tenantmesh.interceptors.tasks import run_all, shared_task
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["CONCURRENT_RETURNS", "STEPS", "TICK_SECONDS", "LeasedQuota", "Receipt"]

CAPACITY = 20_000
"""Tenants that are cached without units."""
STEPS = 8
"""Tenants that one eviction looks at."""
TICK_SECONDS = 0.2
CLOSING_SECONDS = 5.0
CONCURRENT_RETURNS = 32
"""Tenants whose units are returned at a time."""


class LeasedQuota:
    """The engine. Without a pool each process leases from the ledger by itself.

    capacity: tenants that are cached without units.
    tick: seconds between ticks.
    reserve_share: the part of each limit that leases add to the pool, to be served from while the ledger is away.
    reserve_seconds: how long the pool of an idle tenant stays.
    closing: seconds that `close` gives to refills under way, and again to returns.
    """

    def __init__(
        self,
        ledger: QuotaLedger,
        pool: QuotaPool | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        capacity: int = CAPACITY,
        tick: float = TICK_SECONDS,
        reserve_share: float = RESERVE_SHARE,
        reserve_seconds: float = RESERVE_SECONDS,
        closing: float = CLOSING_SECONDS,
    ) -> None:
        self.clock = clock
        """Times calls and periods."""
        self._capacity = capacity
        self._tick_seconds = tick
        self._closing_seconds = closing
        self._sources = Sources(pool, ledger, clock)
        self.stats = self._sources.stats
        self._tenants: dict[int, TenantHoldings] = {}
        self._eviction_queue: deque[int] = deque()
        """The keys of `_tenants`, the next candidate first. An OrderedDict would cost each charge 30 ns."""
        self._lock = threading.Lock()
        self._reserves = Reserves(reserve_share, reserve_seconds)
        self._refill = Refill(self._sources, self._lock, clock, self._activate, self._reserves)
        self._active: dict[Holding, TenantHoldings] = {}
        """Holdings that ticks visit: those that may have units to return."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._returning = asyncio.Semaphore(CONCURRENT_RETURNS)
        self._between_ticks = False
        self._closed = False

    def charge_now(self, tenant_id: TenantId, charges: Sequence[Charge], now: float) -> ChargeOutcome | None:
        """Take all charges from memory, or refuse them from memory; None when `charge` must be awaited. `now` is when
        the call began, on the engine's clock: the call belongs to that period."""
        tenant = self._tenants.get(tenant_id.int)
        if tenant is None:
            return None
        with self._lock:
            outcome: ChargeOutcome | None = None
            if len(charges) == 1:
                outcome = tenant.take_one(charges[0], now)
            if outcome is None:
                outcome = tenant.decide(charges, now)
                if outcome is None:
                    return None
            self.stats.charged_here += 1
            return outcome

    async def charge(self, tenant_id: TenantId, charges: Sequence[Charge]) -> ChargeOutcome:
        """Take all charges or none, after a refill where too little is held.

        Raises StoreUnavailable when neither pool nor ledger can be asked, NotFound for an unknown tenant, Internal for
        an unknown meter.
        """
        with self._lock:
            now = self.clock()
            tenant = self._tenant(tenant_id)
            for charge in charges:
                tenant.holding(charge.meter, now)
            outcome = tenant.decide(charges, now)
            if outcome is not None:
                return outcome
            self.stats.waited += 1
            waiter = Waiter(charges)
            tenant.enqueue(waiter)
        self._start_refill(tenant)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            if waiter.answer.done() and not waiter.answer.cancelled() and waiter.answer.exception() is None:
                outcome = waiter.answer.result()
                self.refund(() if isinstance(outcome, Shortage) else outcome)
            raise

    def held(self, tenant_id: TenantId, meter: str) -> int:
        """Return the units of a meter that this process holds."""
        tenant = self._tenants.get(tenant_id.int)
        holding = None if tenant is None else tenant.holdings.get(meter)
        return 0 if holding is None or holding.units == UNLIMITED else int(holding.units)

    @property
    def cached_tenants(self) -> int:
        """The tenants in memory."""
        return len(self._tenants)

    def refund(self, receipts: Sequence[Receipt]) -> None:
        """Give back what a call took, when it is not counted after all. Any thread may call it."""
        now = self.clock()
        for receipt in receipts:
            holding = receipt.holding
            with self._lock:
                if receipt.reusable and now < holding.ends_at and not self._closed:
                    holding.units += receipt.amount
                elif receipt.period_start is not None:
                    receipt.tenant.returns.append(Return(holding.meter, receipt.amount, receipt.period_start))
                self._active[holding] = receipt.tenant
        if receipts:
            self._ensure_ticking()

    def note_uncounted(self, amount: int) -> None:
        """As `Allowances.note_uncounted`."""
        self.stats.uncounted += amount

    def combined(self, receipts: Iterable[Receipt], more: Iterable[Receipt]) -> Sequence[Receipt]:
        """As `Allowances.combined`."""
        return combined(receipts, more)

    def forget(self, tenant_id: TenantId | None) -> None:
        """Return units that were leased under entitlements which may have changed. None is every tenant. Call it on
        the loop."""
        tenants = list(self._tenants.values()) if tenant_id is None else [self._tenants.get(tenant_id.int)]
        for tenant in filter(None, tenants):
            with self._lock:
                tenant.invalidate()
                pooling = [each for each in tenant.holdings.values() if each in self._active or each in self._reserves]
            if pooling or tenant.returns:
                self._spawn(self._give_back(tenant, [each.meter for each in pooling]))

    async def start(self) -> None:
        """Bind the engine to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._closed = self._refill.minimal = False

    async def close(self) -> None:
        """Return everything. Later charges take no more than they need."""
        self._closed = self._refill.minimal = True
        if self._ticker is not None:
            if self._between_ticks:
                self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        refills = [tenant.refill for tenant in self._tenants.values() if tenant.refill is not None]
        if refills or self._tasks:
            await asyncio.wait([*refills, *self._tasks], timeout=self._closing_seconds)
        returns = [self._give_back(tenant, meters) for tenant, meters in self._release_all().items()]
        await run_all(returns, self._closing_seconds)
        with self._lock:
            self.stats.forfeited += sum(tenant.forfeit() for tenant in self._tenants.values())

    def _release_all(self) -> dict[TenantHoldings, list[str]]:
        """Release every holding to the ledger. Returns the meters by tenant, those of idle tenants last."""
        released: dict[TenantHoldings, list[str]] = {}
        with self._lock:
            for holding, tenant in (self._active | self._reserves.take_all()).items():
                released.setdefault(tenant, []).append(holding.meter)
                tenant.add_return(holding.release(to_ledger=True))
            self._active.clear()
        return released

    def _tenant(self, tenant_id: TenantId) -> TenantHoldings:
        tenant = self._tenants.get(tenant_id.int)
        if tenant is None:
            self._evict(self.clock())
            tenant = self._tenants[tenant_id.int] = TenantHoldings(tenant_id)
            self._eviction_queue.append(tenant_id.int)
        return tenant

    def _evict(self, now: float) -> None:
        """Evict idle tenants (second-chance clock): one used since its last turn goes to the back of the queue, an idle
        one is dropped. Looks at STEPS tenants at most, so the cache may exceed its capacity while more are in use."""
        for _ in range(STEPS):
            if len(self._tenants) < self._capacity:
                return
            key = self._eviction_queue.popleft()
            tenant = self._tenants[key]
            if tenant.idle and not tenant.measure_demand(now):
                del self._tenants[key]
            else:
                self._eviction_queue.append(key)

    def _start_refill(self, tenant: TenantHoldings) -> None:
        if tenant.refill is None:
            tenant.refill = shared_task(self._refill.serve_all(tenant))

    def _activate(self, tenant: TenantHoldings, holding: Holding) -> None:
        """Have ticks visit the holding, and its pool later."""
        self._active[holding] = tenant
        if self._sources.pooling:
            self._reserves.add(holding, tenant, self.clock())
        self._ensure_ticking()

    @property
    def ticking(self) -> bool:
        """True while a holding or a pool may have units to return."""
        return self._ticker is not None and not self._ticker.done()

    def _ensure_ticking(self) -> None:
        if self.ticking and not self._closed:
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        try:
            self._loop.call_soon_threadsafe(self._start_ticking)
        except RuntimeError:
            self.stats.forfeited += 1  # the loop is closed: the process is about to end

    def _start_ticking(self) -> None:
        if self._closed:
            for tenant in self._release_all():
                self._spawn(self._give_back(tenant, []))
        elif not self.ticking:
            self._ticker = asyncio.get_running_loop().create_task(self._run_ticks(), name="tenantmesh-quota")
            # A refund in another thread may come just when the last tick has ended.
            self._ticker.add_done_callback(
                lambda _: self._ensure_ticking() if self._active and not self._closed else None
            )

    async def _run_ticks(self) -> None:
        while (self._active or self._reserves) and not self._closed:
            self._between_ticks = True
            await asyncio.sleep(self._tick_seconds)
            self._between_ticks = False
            await self.tick()

    async def tick(self) -> None:
        """Measure demand, and return what is idle: slices at once, pools later."""
        now, returns = self.clock(), []
        for holding, tenant in list(self._active.items()):
            with self._lock:
                self._visit(holding, tenant, now)
            if tenant.returns:
                returns.append(self._give_back(tenant, []))
        due = self._reserves.due(now, self._active)
        returns += [self._give_back(pool.tenant, [pool.holding.meter], pool.idle_for) for pool in due]
        await run_all(returns)

    def _visit(self, holding: Holding, tenant: TenantHoldings, now: float) -> None:
        """Release what the holding has too much. Ends the visits to one that is idle."""
        holding.measure(now)
        released = holding.release(keep=holding.units_to_keep())
        if released is not None:
            holding.pooled += released.amount  # it is returned to the pool
        tenant.add_return(released)
        busy, holding.used = holding.used or holding.waiting, False
        if not busy and not tenant.returns:
            del self._active[holding]

    async def _give_back(
        self, tenant: TenantHoldings, meters: Sequence[str], idle_for: timedelta = timedelta()
    ) -> None:
        """Return the tenant's units, and drain the pools of these meters if they are idle. Few tenants at a time: a
        change that concerns all of them must leave the ledger time for waiting calls."""
        async with self._returning:
            await self._refill.give_back(tenant)
            for meter in meters:
                await self._sources.drain(tenant.id, meter, idle_for)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
