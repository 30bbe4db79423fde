"""The reserves of tenants: how large they are, and when they go back.

A lease adds a reserve to the pool, and the pool stays for a while after its tenant's last call. Every process serves
the tenant from it while the ledger is away. Its units were given out by the ledger, so that nothing past the limit is
served; and calls take from the pool before the ledger, so that none lie idle near the limit.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Container, Iterator
from datetime import timedelta
from typing import NamedTuple

from tenantmesh.interceptors.leases.holding import Holding
from tenantmesh.interceptors.leases.tenant_holdings import TenantHoldings

__all__ = ["RESERVE_SECONDS", "RESERVE_SHARE", "Reserves"]

RESERVE_SHARE = 0.01
"""The part of a limit that is the reserve of all processes together."""
RESERVE_SECONDS = 60.0
"""Seconds for which a pool stays that nobody takes from. Tenants that were served within them have a reserve."""

LAST_SECONDS = 2.0
"""Seconds before the end of a period in which its pools are drained, idle or not: units left in one would count as
used in that period."""


class DueReserve(NamedTuple):
    """A pool to drain, if nobody has taken from it for so long."""

    tenant: TenantHoldings
    holding: Holding
    idle_for: timedelta


class Reserves:
    """The pools that this process has put units into or taken from, in the order in which it looks at them."""

    def __init__(self, share: float, seconds: float) -> None:
        self._share = share
        self._seconds = seconds
        self._queue: list[tuple[float, int, Holding]] = []
        self._tenants: dict[Holding, TenantHoldings] = {}
        self._numbers = itertools.count()

    def __contains__(self, holding: Holding) -> bool:
        return holding in self._tenants

    def __len__(self) -> int:
        return len(self._tenants)

    def size(self, holding: Holding, now: float) -> int:
        """Return the units of the holding's reserve; none for a period that ends before the pool would be idle."""
        return int((holding.limit or 0) * self._share) if now + self._seconds < holding.ends_at else 0

    def add(self, holding: Holding, tenant: TenantHoldings, now: float) -> None:
        """Look at the holding's pool when it may be idle, or its period ends."""
        if holding not in self._tenants:
            self._tenants[holding] = tenant
            self._enqueue(holding, now)

    def due(self, now: float, active: Container[Holding]) -> Iterator[DueReserve]:
        """Yield the pools to drain now. Those of `active` holdings are looked at again later."""
        while self._queue and self._queue[0][0] <= now:
            _, _, holding = heapq.heappop(self._queue)
            tenant = self._tenants.get(holding)
            if tenant is None:
                continue
            ending = holding.ends_at - now <= LAST_SECONDS
            if holding in active and not ending:
                self._enqueue(holding, now)
                continue
            del self._tenants[holding]
            if now < holding.ends_at:
                yield DueReserve(tenant, holding, timedelta(seconds=0 if ending else self._seconds))

    def take_all(self) -> dict[Holding, TenantHoldings]:
        """Return all holdings with their tenants, and forget them."""
        found, self._tenants = self._tenants, {}
        self._queue.clear()
        return found

    def _enqueue(self, holding: Holding, now: float) -> None:
        due_at = min(now + self._seconds, holding.ends_at - LAST_SECONDS)
        heapq.heappush(self._queue, (due_at, next(self._numbers), holding))
