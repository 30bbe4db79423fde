"""Limits failed sign-ins over all accounts of a tenant, as when many addresses guess a password or two per account.

It locks nobody out who comes from elsewhere: beyond the tenant's limit each network address is limited by its own
failures. An address that has not failed signs in as always, however many others fail.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from tenantmesh.auth_svc.sessions.attempt_rates import AttemptRates, LoginCounts
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.keys import tenant_key
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["FailedLogins", "FailureLimits"]


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """How often signing in may fail before failures count by address, and how often one address may fail then."""

    tenant: Rate
    address: Rate


class FailedLogins:
    """Counts failed sign-ins, and refuses those of an address that has failed too often while its tenant was over."""

    def __init__(
        self,
        rates: AttemptRates,
        counts: LoginCounts,
        limits: FailureLimits,
        *,
        capacity: int = 100_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rates = rates
        self._counts = counts
        self._limits = limits
        self._until_one_is_left = (limits.address.burst - 1) * limits.address.interval
        self._capacity = capacity
        self._clock = clock
        self._refused: OrderedDict[tuple[TenantId, str], float] = OrderedDict()
        """Addresses that have failed too often, and until when; the oldest give way, so that they can't fill memory."""

    def check(self, tenant_id: TenantId, network: str) -> None:
        """Raise ResourceExhausted `RATE_LIMITED` while the address has failed too often. It counts nothing."""
        until = self._refused.get((tenant_id, network))
        if until is None:
            return
        wait = until - self._clock()
        if wait <= 0:
            del self._refused[tenant_id, network]
            return
        self._counts.refused_address += 1
        raise ResourceExhausted(
            "RATE_LIMITED",
            "Many attempts to sign in to this tenant fail, several of them from this address. Wait as long as RetryInfo"
            " says.",
            metadata={"limit": str(self._limits.address.burst), "scope": "peer"},
            retry_after=timedelta(seconds=wait),
        )

    async def add(self, tenant_id: TenantId, network: str) -> None:
        """Count a failure."""
        self._counts.failed += 1
        if (await self._rates.take(tenant_key(tenant_id, "login", "failed"), self._limits.tenant)).allowed:
            return
        self._counts.failed_over_limit += 1
        key = tenant_key(tenant_id, "login", f"failed:{sha256(network.encode()).hexdigest()}")
        mine = await self._rates.take(key, self._limits.address)
        if mine.remaining < 1:
            self._refuse(tenant_id, network, mine.full_in - self._until_one_is_left)

    def _refuse(self, tenant_id: TenantId, network: str, seconds: float) -> None:
        self._refused[tenant_id, network] = self._clock() + seconds
        self._refused.move_to_end((tenant_id, network))
        if len(self._refused) > self._capacity:
            self._refused.popitem(last=False)
