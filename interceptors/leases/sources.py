"""The conversation with pool and ledger: where a process gets units of allowances, and where it leaves them.

What was asked for and not answered is forfeited, never asked for again: units can be lost, but none is given twice.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from tenantmesh.interceptors.errors import Internal, MeshError, NotFound
from tenantmesh.interceptors.leases.holding import Pending
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Drained, PoolAnswer, QuotaLedger, QuotaPool, Slice
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["LOST_AFTER", "QuotaStats", "Sources"]

_log = logging.getLogger("tenantmesh.quota")
_T = TypeVar("_T")

TENANTS = 10_000
"""For how many tenants it is remembered that a store did not answer."""
LOST_AFTER = 3
"""Tenants in a row that the ledger does not answer about before it is taken to be away."""
DOWN_FOR = 1.0
"""Seconds for which a store that did not answer is not asked again."""
KEPT_FOR = 5.0
"""Seconds for which units are kept instead of returned, after the ledger did not answer: a return that fails is
forfeited, so returning is not what should find out whether it is there again."""


@dataclass(slots=True)
class QuotaStats:
    """What it took to charge calls: charges decided in memory or waited for, calls of the stores, units forfeited."""

    charged_here: int = 0
    """Charges decided from memory, refusals included."""
    waited: int = 0
    """Charges that had to wait for pool or ledger."""
    pool_calls: int = 0
    ledger_calls: int = 0
    forfeited: int = 0
    """Units that were given to this process and are lost."""


class _Breaker:
    """Leaves a store alone for a moment after it did not answer about a tenant: for that tenant, since others may be
    another server's, and a locked row is one tenant's.

    No single silence tells a locked row from lost contact, whatever the code that it ends with. Silence about
    `lost_after` tenants, and no answer about anybody in between, counts as lost contact: the store is left alone
    altogether.
    """

    def __init__(self, clock: Callable[[], float], *, lost_after: float = math.inf) -> None:
        self._clock = clock
        self._lost_after = lost_after
        self._failed_at: dict[TenantId, float] = {}
        self._silent_about: set[TenantId] = set()
        """Tenants that it was asked about and did not answer, since it answered last."""
        self._lost_at = -math.inf

    def closed(self, tenant_id: TenantId, *, after: float = DOWN_FOR) -> bool:
        """Whether it may be asked about the tenant: it answered last time, or so many seconds have passed since."""
        failed_at = self._failed_at.get(tenant_id, -math.inf)
        return self._clock() >= max(failed_at, self._lost_at) + after

    async def ask(self, tenant_id: TenantId, question: Coroutine[Any, Any, _T]) -> _T:
        """The answer. Raises what the question raises; a refusal is an answer too."""
        try:
            answer = await question
        except StoreUnavailable:
            self._fail(tenant_id)
            raise
        except MeshError:
            self._answered(tenant_id)
            raise
        self._answered(tenant_id)
        return answer

    def _answered(self, tenant_id: TenantId) -> None:
        self._failed_at.pop(tenant_id, None)
        self._silent_about.clear()

    def _fail(self, tenant_id: TenantId) -> None:
        now = self._clock()
        self._failed_at.pop(tenant_id, None)  # so that the oldest stand first
        self._failed_at[tenant_id] = now
        if len(self._failed_at) > TENANTS:
            del self._failed_at[next(iter(self._failed_at))]
        if len(self._silent_about) < self._lost_after:
            self._silent_about.add(tenant_id)
        if len(self._silent_about) >= self._lost_after:
            self._lost_at = now


class Sources:
    """Pool and ledger, each with its breaker. Without a pool the ledger is asked each time."""

    def __init__(self, pool: QuotaPool | None, ledger: QuotaLedger, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._ledger = ledger
        self._pool_breaker = _Breaker(clock)
        self._ledger_breaker = _Breaker(clock, lost_after=LOST_AFTER)
        self.stats = QuotaStats()

    async def take(self, tenant_id: TenantId, asks: Sequence[Ask], limits: Sequence[int]) -> PoolAnswer | None:
        """As `QuotaPool.take`; None where there is no pool that answers."""
        pool = self._pool_of(tenant_id)
        if pool is None:
            return None
        self.stats.pool_calls += 1
        try:
            return await self._pool_breaker.ask(tenant_id, pool.take(tenant_id, asks, limits))
        except StoreUnavailable:
            _log.info("the pool of allowances is away: asking the ledger instead")
            return None

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask]) -> Sequence[Slice]:
        """As `QuotaLedger.lease`. Raises Internal for meters that are none, since a policy or a handler names them."""
        if not self._ledger_breaker.closed(tenant_id):
            raise StoreUnavailable("the ledger of allowances did not answer a moment ago")
        self.stats.ledger_calls += 1
        try:
            return await self._ledger_breaker.ask(tenant_id, self._ledger.lease(tenant_id, asks))
        except NotFound as error:
            if error.reason != "FEATURE_NOT_FOUND":
                raise
            meters = ", ".join(ask.meter for ask in asks)
            raise Internal("INTERNAL", f"one of these is charged and is no METERED feature: {meters}") from error

    async def add(self, tenant_id: TenantId, units: Slice, amount: int, until: float | None) -> Pending | None:
        """Leaves the rest of a lease in the pool, or gives it back; says what has to be kept for now. Never raises."""
        if amount <= 0:
            return None
        pool = self._pool_of(tenant_id)
        if pool is not None and until is not None:
            self.stats.pool_calls += 1
            try:
                with self._forfeiting(amount):
                    if await self._pool_breaker.ask(tenant_id, pool.add(tenant_id, units, amount, until)):
                        return None
            except StoreUnavailable:
                return None
            await self.drain(tenant_id, units.meter)  # it was filled under another limit
        return await self.give_back(tenant_id, Pending(units.meter, amount, units.period_start))

    async def give_back(self, tenant_id: TenantId, units: Pending) -> Pending | None:
        """Returns units to where others can use them, and says what has to be kept for now. Never raises."""
        pool = self._pool_of(tenant_id)
        if pool is not None and units.limit is not None:
            self.stats.pool_calls += 1
            question = pool.give_back(tenant_id, units.meter, units.amount, units.period_start, units.limit)
            try:
                with self._forfeiting(units.amount):
                    if await self._pool_breaker.ask(tenant_id, question):
                        return None
            except StoreUnavailable:
                return None
        if not self._ledger_breaker.closed(tenant_id, after=KEPT_FOR):
            return units
        await self._return(tenant_id, units)
        return None

    async def drain(self, tenant_id: TenantId, meter: str, idle_for: timedelta = timedelta()) -> None:
        """Returns what is in the pool to the ledger. Never raises."""
        pool = self._pool_of(tenant_id)
        if pool is None or not self._ledger_breaker.closed(tenant_id, after=KEPT_FOR):
            return
        self.stats.pool_calls += 1
        try:
            drained: Drained | None = await self._pool_breaker.ask(tenant_id, pool.drain(tenant_id, meter, idle_for))
        except StoreUnavailable:
            return
        if drained is not None:
            await self._return(tenant_id, Pending(meter, drained.amount, drained.period_start))

    def _pool_of(self, tenant_id: TenantId) -> QuotaPool | None:
        """The pool, if what is the tenant's in it can be asked for. In a cluster that is one server's: while it is down
        the units of other servers' tenants must not lie idle."""
        return self._pool if self._pool_breaker.closed(tenant_id) else None

    async def _return(self, tenant_id: TenantId, units: Pending) -> None:
        self.stats.ledger_calls += 1
        question = self._ledger.give_back(tenant_id, units.meter, units.amount, units.period_start)
        try:
            with self._forfeiting(units.amount):
                await self._ledger_breaker.ask(tenant_id, question)
        except (StoreUnavailable, MeshError) as error:
            where = {"tenant_id": str(tenant_id), "meter": units.meter}
            _log.warning("units could not be given back: %s", error, extra=where)

    @contextlib.contextmanager
    def _forfeiting(self, amount: int) -> Iterator[None]:
        """Counts units as lost when leaving them somewhere fails: they may be there all the same."""
        try:
            yield
        except BaseException:
            self.stats.forfeited += amount
            raise
