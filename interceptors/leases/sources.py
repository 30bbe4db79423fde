"""The two sources of units, pool and ledger, each behind its breaker.

The package explains the words. Units of a question without an answer are forfeited: no question is repeated.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tenantmesh.interceptors.errors import Internal, MeshError, NotFound
from tenantmesh.interceptors.leases.breaker import KeyedBreaker
from tenantmesh.interceptors.leases.holding import Return
from tenantmesh.interceptors.limits import StoreAway, StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Drained, PoolAnswer, QuotaLedger, QuotaPool, Slice
from tenantmesh.interceptors.tasks import SingleFlight
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["Sources"]

_log = logging.getLogger("tenantmesh.quota")

RETURN_PAUSE = 5.0
"""Seconds without returns after the ledger did not answer. A failed return forfeits units, so that it must not be what
finds out whether the ledger is back; leases are."""


@dataclass(slots=True)
class QuotaStats:
    """Counters of the engine."""

    charged_here: int = 0
    """Charges decided from memory, refusals included."""
    waited: int = 0
    """Charges that waited for pool or ledger."""
    pool_calls: int = 0
    ledger_calls: int = 0
    forfeited: int = 0
    """Units that this process took and lost."""
    unanswered: int = 0
    """Leases that the ledger did not answer."""
    away: int = 0
    """Times that the ledger was found to answer nobody, or to refuse this process's key."""
    uncounted: int = 0
    """Units that methods with STORE_DOWN_ALLOW were served meanwhile. Nobody is charged for them."""


class Sources:
    """Pool and ledger. Without a pool the ledger alone is asked."""

    def __init__(self, pool: QuotaPool | None, ledger: QuotaLedger, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._ledger = ledger
        self._pool_breaker = KeyedBreaker[TenantId](clock)
        self._ledger_breaker = KeyedBreaker[TenantId](clock)
        self._away: StoreAway | None = None
        """The last evidence that the ledger answers nobody."""
        self._probe = SingleFlight[None, bool](lambda _: ledger.answers())
        self.stats = QuotaStats()
        self._own_account = str(uuid.uuid4())
        self._pool_accounts: tuple[str, ...] = ()

    @property
    def pooling(self) -> bool:
        """True where there is a pool, whether or not it answers."""
        return self._pool is not None

    async def take(self, tenant_id: TenantId, asks: Sequence[Ask], limits: Sequence[int]) -> PoolAnswer | None:
        """As `QuotaPool.take`; None where no pool answers."""
        pool = self._pool_for(tenant_id)
        if pool is None:
            return None
        self.stats.pool_calls += 1
        try:
            return await self._pool_breaker.ask(tenant_id, pool.take(tenant_id, asks, limits))
        except StoreUnavailable:
            _log.info("the pool of allowances is away: asking the ledger instead")
            return None

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask]) -> Sequence[Slice]:
        """As `QuotaLedger.lease`. Raises StoreAway only when the ledger answers nobody, and Internal for a name that is
        no meter, since a policy or a handler wrote it."""
        if not self._ledger_breaker.closed(tenant_id):
            raise self._not_asked()
        account = (await self._accounts(tenant_id))[0]
        self.stats.ledger_calls += 1
        try:
            return await self._ledger_breaker.ask(tenant_id, self._ledger.lease(tenant_id, asks, account))
        except StoreUnavailable as error:
            raise await self._judged(error) from error
        except NotFound as error:
            if error.reason != "FEATURE_NOT_FOUND":
                raise
            meters = ", ".join(ask.meter for ask in asks)
            raise Internal("INTERNAL", f"one of these is charged and is not a METERED feature: {meters}") from error

    async def add(self, tenant_id: TenantId, units: Slice, amount: int, until: float | None) -> Return | None:
        """Put the surplus of a lease into the pool, or return it. Returns units that could not be returned now. Never
        raises."""
        if amount <= 0:
            return None
        pool = self._pool_for(tenant_id)
        if pool is not None and until is not None:
            self.stats.pool_calls += 1
            try:
                with self._forfeiting(amount):
                    if await self._pool_breaker.ask(tenant_id, pool.add(tenant_id, units, amount, until)):
                        return None
            except StoreUnavailable:
                return None
            await self.drain(tenant_id, units.meter)  # it was filled under another limit
        return await self.give_back(tenant_id, Return(units.meter, amount, units.period_start))

    async def give_back(self, tenant_id: TenantId, units: Return) -> Return | None:
        """Give units back to the pool or the ledger. Returns units that could not be given back now. Never raises."""
        pool = self._pool_for(tenant_id)
        if pool is not None and units.limit is not None:
            self.stats.pool_calls += 1
            question = pool.give_back(tenant_id, units.meter, units.amount, units.period_start, units.limit)
            try:
                with self._forfeiting(units.amount):
                    if await self._pool_breaker.ask(tenant_id, question):
                        return None
            except StoreUnavailable:
                return None
        if not self._ledger_breaker.closed(tenant_id, after=RETURN_PAUSE):
            return units
        await self._give_to_ledger(tenant_id, units)
        return None

    async def drain(self, tenant_id: TenantId, meter: str, idle_for: timedelta = timedelta()) -> None:
        """Give the pool's units back to the ledger. Never raises."""
        pool = self._pool_for(tenant_id)
        if pool is None or not self._ledger_breaker.closed(tenant_id, after=RETURN_PAUSE):
            return
        self.stats.pool_calls += 1
        try:
            drained: Drained | None = await self._pool_breaker.ask(tenant_id, pool.drain(tenant_id, meter, idle_for))
        except StoreUnavailable:
            return
        if drained is not None:
            await self._give_to_ledger(tenant_id, Return(meter, drained.amount, drained.period_start))

    def _not_asked(self) -> StoreUnavailable:
        """Return the error of a question that is not put, because the last one had no answer."""
        told = "the ledger of allowances did not answer a moment ago"
        if self._away is not None and self._ledger_breaker.lost:
            return StoreAway(told, self._away.refusal)
        return StoreUnavailable(told)

    async def _judged(self, error: StoreUnavailable) -> StoreUnavailable:
        """Return the error, as StoreAway where the ledger does not answer a question about no tenant either.

        One tenant's question may be late because of that tenant: a locked row, a flood of calls. Only a ledger that
        answers nobody is away.
        """
        self.stats.unanswered += 1
        if not isinstance(error, StoreAway):
            if await self._probe.result(None):
                return error
            error = StoreAway(str(error), error.refusal)
        self.stats.away += 1
        self._ledger_breaker.lose()
        self._away = error
        return error

    def _pool_for(self, tenant_id: TenantId) -> QuotaPool | None:
        """Return the pool if its breaker is closed for the tenant. In a cluster one server may be down alone."""
        return self._pool if self._pool_breaker.closed(tenant_id) else None

    async def _accounts(self, tenant_id: TenantId) -> tuple[str, ...]:
        """Return the accounts of what this process holds: those of the pool, and its own. It leases under the first, so
        that every process that takes units from the pool can return them."""
        pool = self._pool_for(tenant_id)
        if pool is not None:
            with contextlib.suppress(StoreUnavailable):
                self._pool_accounts = tuple(await pool.accounts())
        return (*self._pool_accounts, self._own_account)

    async def _give_to_ledger(self, tenant_id: TenantId, units: Return) -> None:
        self.stats.ledger_calls += 1
        try:
            with self._forfeiting(units.amount):
                accounts = await self._accounts(tenant_id)
                question = self._ledger.give_back(tenant_id, units.meter, units.amount, units.period_start, accounts)
                returned = await self._ledger_breaker.ask(tenant_id, question)
            self.stats.forfeited += units.amount - returned
        except (StoreUnavailable, MeshError) as error:
            where = {"tenant_id": str(tenant_id), "meter": units.meter}
            _log.warning("units could not be given back: %s", error, extra=where)

    @contextlib.contextmanager
    def _forfeiting(self, amount: int) -> Iterator[None]:
        """Count the units as forfeited when the step fails. The source may have them all the same."""
        try:
            yield
        except BaseException:
            self.stats.forfeited += amount
            raise
