"""Charges calls to tenants' allowances over all processes, exactly, and nearly always without asking anybody.

A process holds a slice of what the ledger gave out, and a charge takes from it in memory. An empty slice is filled from
the pool, and the pool from the ledger, in one conversation for everybody who waits. Slices are as large as what came in
the last moments, shrink to single units near the limit, and go back when no calls come. See `quotas` for why that can
never give a unit twice, and `_quota_refill` for what happens while a store is away.

State is changed under one lock and only between waits, so that the threads of a `grpc.server` may charge and refund;
everything else happens on the chain's loop.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any

from tenantmesh.interceptors.leases.holding import UNLIMITED, Holding, Pending, Shortage, Taken
from tenantmesh.interceptors.leases.refill import Conversation
from tenantmesh.interceptors.leases.sources import QuotaStats, Sources
from tenantmesh.interceptors.leases.tenant_holdings import Decided, TenantHoldings, Waiter
from tenantmesh.interceptors.policy import Charge
from tenantmesh.interceptors.quotas import QuotaLedger, QuotaPool
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["AT_ONCE", "LOOK_SECONDS", "STEPS", "LeasedQuota", "QuotaStats", "Shortage", "Taken"]

CAPACITY = 20_000
"""Tenants whose holdings are kept while they are empty."""
STEPS = 8
"""How many tenants are looked at when room is needed for one."""
LOOK_SECONDS = 0.2
"""A slice that nothing was taken from between two looks goes back, and so does what it is too large by."""
IDLE_LOOKS = 5
"""How long to look whether the pool has become idle as well."""
POOL_IDLE = timedelta(seconds=0.5)
CLOSING_SECONDS = 5.0
AT_ONCE = 32
"""Conversations with the stores at a time, of those that nobody waits for."""


class LeasedQuota:
    """See the module. Without a pool each process leases from the ledger by itself."""

    def __init__(
        self, ledger: QuotaLedger, pool: QuotaPool | None = None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._sources = Sources(pool, ledger, clock)
        self.stats = self._sources.stats
        self._tenants: dict[int, TenantHoldings] = {}
        self._queue: deque[int] = deque()
        """The same tenants; whoever may be forgotten next stands first. An OrderedDict would cost each charge 30 ns."""
        self._lock = threading.Lock()
        self._conversation = Conversation(self._sources, self._lock, clock, self._hold)
        self._active: dict[Holding, TenantHoldings] = {}
        """Holdings that may have something to give back."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._walker: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._resting = False
        self._closed = False

    def charge_now(self, tenant_id: TenantId, charges: Sequence[Charge], now: float) -> Decided | None:
        """Takes all charges from what is held here, or says that there is nothing anywhere; None when `charge` must be
        awaited. `now` is a moment of the engine's clock: the call belongs to the period that it began in."""
        tenant = self._tenants.get(tenant_id.int)
        if tenant is None:
            return None
        with self._lock:
            outcome: Decided | None = None
            if len(charges) == 1:
                outcome = tenant.take_one(charges[0], now)
            if outcome is None:
                outcome = tenant.decide(charges, now)
                if outcome is None:
                    return None
            self.stats.charged_here += 1
            return outcome

    async def charge(self, tenant_id: TenantId, charges: Sequence[Charge]) -> Decided:
        """Takes all charges or none, waiting for more where too little is held here.

        Raises StoreUnavailable when neither pool nor ledger can be asked, NotFound for a tenant that does not exist,
        Internal for a meter that is none.
        """
        with self._lock:
            now = self._clock()
            tenant = self._tenant(tenant_id)
            for charge in charges:
                tenant.holding(charge.meter, now)
            outcome = tenant.decide(charges, now)
            if outcome is not None:
                return outcome
            self.stats.waited += 1
            waiter = Waiter(charges)
            tenant.enqueue(waiter)
        self._converse(tenant)
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            if waiter.answer.done() and not waiter.answer.cancelled() and waiter.answer.exception() is None:
                outcome = waiter.answer.result()
                self.refund(() if isinstance(outcome, Shortage) else outcome)
            raise

    def held(self, tenant_id: TenantId, meter: str) -> int:
        """How many units of a meter this process holds ready."""
        tenant = self._tenants.get(tenant_id.int)
        holding = None if tenant is None else tenant.holdings.get(meter)
        units = 0 if holding is None else holding.units
        return 0 if units == UNLIMITED else int(units)

    def refund(self, taken: Iterable[Taken]) -> None:
        """Gives back what a call took and is not to be charged. May be called from any thread."""
        now = self._clock()
        for each in taken:
            holding = each.holding
            with self._lock:
                if each.usable and now < holding.ends_at and not self._closed:
                    holding.units += each.amount
                elif each.period_start is not None:
                    late = Pending(holding.meter, each.amount, each.period_start)
                    each.tenant.returning.append(late)
                self._active[holding] = each.tenant
        self._wake()

    def forget(self, tenant_id: TenantId | None) -> None:
        """Stops using what was leased under entitlements that may have changed, and gives it back. Call it on the loop.
        None is every tenant."""
        tenants = list(self._tenants.values()) if tenant_id is None else [self._tenants.get(tenant_id.int)]
        for tenant in filter(None, tenants):
            with self._lock:
                tenant.forget()
                active = [holding for holding in tenant.holdings.values() if holding in self._active]
            if active or tenant.returning:
                self._spawn(self._settle(tenant, [holding.meter for holding in active]))

    async def start(self) -> None:
        """Notes the loop on which everything happens that has to wait."""
        self._loop = asyncio.get_running_loop()
        self._closed = False

    async def close(self) -> None:
        """Gives everything back. Charges that come later take no more than they need."""
        self._closed = True
        if self._walker is not None:
            if self._resting:
                self._walker.cancel()
            await asyncio.gather(self._walker, return_exceptions=True)
        talking = [tenant.refill for tenant in self._tenants.values() if tenant.refill is not None]
        if talking or self._tasks:
            await asyncio.wait([*talking, *self._tasks], timeout=CLOSING_SECONDS)
        settling = [self._settle(tenant, meters) for tenant, meters in self._release_everything().items()]
        await _all_of(settling, CLOSING_SECONDS)
        with self._lock:
            self.stats.forfeited += sum(tenant.lose() for tenant in self._tenants.values())

    def _release_everything(self) -> dict[TenantHoldings, list[str]]:
        """Starts everything that is held on its way back to the ledger, and says whose meters those are."""
        released: dict[TenantHoldings, list[str]] = {}
        with self._lock:
            for holding, tenant in self._active.items():
                released.setdefault(tenant, []).append(holding.meter)
                tenant.give_up(holding.release(to_ledger=True))
            self._active.clear()
        return released

    def _tenant(self, tenant_id: TenantId) -> TenantHoldings:
        tenant = self._tenants.get(tenant_id.int)
        if tenant is None:
            self._make_room(self._clock())
            tenant = self._tenants[tenant_id.int] = TenantHoldings(tenant_id)
            self._queue.append(tenant_id.int)
        return tenant

    def _make_room(self, now: float) -> None:
        """Forgets tenants from which nothing was taken since they stood first the last time: nearly those that were
        used least recently, and charges need not keep an order. A few steps at most: where too many are in use there
        will be more of them for a while."""
        for _ in range(STEPS):
            if len(self._tenants) < CAPACITY:
                return
            key = self._queue.popleft()
            tenant = self._tenants[key]
            if tenant.idle and not tenant.in_demand(now):
                del self._tenants[key]
            else:
                self._queue.append(key)

    def _converse(self, tenant: TenantHoldings) -> None:
        if tenant.refill is None:
            # In a context of its own: it serves everybody who waits, and must not end with the first one's deadline.
            talk = self._conversation.until_all_are_answered(tenant, modest=self._closed)
            tenant.refill = asyncio.create_task(talk, context=contextvars.Context())

    def _hold(self, tenant: TenantHoldings, holding: Holding) -> None:
        """Told by the conversation of a holding that may have something to give back some time."""
        holding.looks = IDLE_LOOKS
        self._active[holding] = tenant
        self._wake()

    def _wake(self) -> None:
        """Has the looks begin, unless they are under way."""
        if self._walker is not None and not self._walker.done() and not self._closed:
            return
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        try:
            self._loop.call_soon_threadsafe(self._walk_or_settle)
        except RuntimeError:
            self.stats.forfeited += 1  # the loop is closed: the process is about to end

    def _walk_or_settle(self) -> None:
        if self._closed:
            for tenant in self._release_everything():
                self._spawn(self._settle(tenant, []))
        elif self._walker is None or self._walker.done():
            self._walker = asyncio.get_running_loop().create_task(self._walk(), name="tenantmesh-quota")
            # A refund in another thread may come when the walk has just ended.
            self._walker.add_done_callback(lambda _: self._wake() if self._active and not self._closed else None)

    async def _walk(self) -> None:
        while self._active and not self._closed:
            self._resting = True
            await asyncio.sleep(LOOK_SECONDS)
            self._resting = False
            await _all_of(self._look())

    def _look(self) -> list[Coroutine[Any, Any, None]]:
        """What is idle, or more than is called for, on its way back: slices at once, pools when nobody has taken from
        them for a while."""
        now, settling = self._clock(), []
        for holding, tenant in list(self._active.items()):
            with self._lock:
                holding.measure(now)
                released = holding.release(keep=holding.worth_keeping())
                if released is not None:
                    holding.pooled += released.amount  # that is where it goes
                tenant.give_up(released)
                busy = holding.used or holding.wanted
                holding.used, holding.looks = False, IDLE_LOOKS if busy else holding.looks - 1
                if not busy and (holding.looks <= 0 or not holding.pooled) and not tenant.returning:
                    del self._active[holding]
            pooled = [holding.meter] if holding.pooled and holding.looks < IDLE_LOOKS - 1 else []
            if pooled or tenant.returning:
                settling.append(self._settle(tenant, pooled, POOL_IDLE))
        return settling

    async def _settle(self, tenant: TenantHoldings, meters: Sequence[str], idle_for: timedelta = timedelta()) -> None:
        """Gives back what is on its way, and what is in pools that nobody takes from. Waits for a place: after a change
        that concerns everybody, the ledger would else have no time for those who wait."""
        async with self._places:
            await self._conversation.give_back(tenant)
            for meter in meters:
                await self._sources.drain(tenant.id, meter, idle_for)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _all_of(work: Iterable[Coroutine[Any, Any, None]], seconds: float | None = None) -> None:
    """Does the work. What takes longer than so many seconds is dropped."""
    tasks = [asyncio.ensure_future(each) for each in work]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
