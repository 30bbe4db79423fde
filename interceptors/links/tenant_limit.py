"""Limits how often one tenant calls the methods of a rate class, over all processes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from tenantmesh.interceptors.errors import QuotaViolation
from tenantmesh.interceptors.keys import tenant_key
from tenantmesh.interceptors.limits import SHORT, Limited, LocalRateLimiter, Rate, RateDecision, RateLimiter
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.links.rate_gate import RateGate
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError, TenantScope
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["TenantLimit"]

CAPACITY = 20_000
"""Tenants whose key is remembered."""


class TenantLimit:
    """Limits methods that are not public by rate class and tenant. The rate is that of the tenant's plan, else that of
    the chain's settings. Operators are not limited, nor callers whom the policy does not count."""

    def __init__(self, limiter: RateLimiter | None, local: LocalRateLimiter, rates: Mapping[str, Rate]) -> None:
        self._limiter = limiter
        self._local = local
        self._rates = rates

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Raises PolicyError for a class without a rate, where there is no limiter, and for methods
        that are for no tenant."""
        if policy.public or not policy.rate_class:
            return None
        if policy.tenant_scope is TenantScope.NONE:
            raise PolicyError(f"{policy.method} is limited by tenant, and its tenant_scope is NONE")
        if self._limiter is None:
            raise PolicyError(f"{policy.method} is limited by tenant: give the chain a limiter")
        if policy.rate_class not in self._rates:
            raise PolicyError(f"{policy.method}: rate_class {policy.rate_class!r} is not among {sorted(self._rates)}")
        bound = _BoundTenantLimit(self._limiter, self._local, policy, self._rates[policy.rate_class])
        return Moments(admit=bound.admit, limits=bound.limits)


class _BoundTenantLimit(RateGate):
    def __init__(self, limiter: RateLimiter, local: LocalRateLimiter, policy: MethodPolicy, rate: Rate) -> None:
        super().__init__(limiter, local, policy)
        self._class = policy.rate_class
        self._rate = rate
        self._counted = policy.counted
        self._keys: dict[int, str] = {}

    def admit(self, call: Passage) -> Waiting:
        tenant = call.tenant
        if tenant is None or call.caller.kind not in self._counted:
            return None
        entitled = call.entitled
        rate = self._rate if entitled is None else entitled.rates.get(self._class, self._rate)
        key = self._keys.get(tenant.id.int) or self._key(tenant.id)
        decision = None if self._instant is None else self._instant.take_now(key, rate)
        if decision is not None and decision.allowed:
            call.burst = decision
            if decision.remaining * SHORT < decision.limit:
                call.runs_short = True
            return None
        return self._take(call, key, rate, decision)

    def _key(self, tenant_id: TenantId) -> str:
        """Return the tenant's key, made once: writing out a UUID costs more than the decision."""
        if len(self._keys) >= CAPACITY:
            self._keys.clear()
        key = self._keys[tenant_id.int] = tenant_key(tenant_id, "burst", self._class)
        return key

    def _conclude(self, call: Passage, rate: Rate, decision: RateDecision) -> None:
        # What is left of a local share is compared with the whole limit.
        call.burst = decision._replace(limit=rate.burst)
        call.runs_short = call.runs_short or decision.remaining * SHORT < rate.burst
        if not decision.allowed:
            raise self._limited(call, rate, decision)

    def limits(self, call: Passage) -> Iterable[Limited]:
        burst, entitled = call.burst, call.entitled
        if burst is None:
            return ()
        rate = self._rate if entitled is None else entitled.rates.get(self._class, self._rate)
        window = math.ceil(rate.burst * rate.interval)
        return (Limited(self._class, rate.burst, burst.remaining, burst.full_in, window),)

    def _limited(self, call: Passage, rate: Rate, decision: RateDecision) -> Exception:
        refusal = self._refusal(
            "The tenant makes too many calls in too short a time. Wait as long as RetryInfo says.", decision, "tenant"
        )
        refusal.quota_violations = (
            QuotaViolation(
                subject=f"tenant:{call.tenant_id}",
                description=f"{rate.per_second:g} calls a second, {rate.burst} at once",
                metric=self._class,
                id="burst",
                limit=rate.burst,
            ),
        )
        if call.entitled is not None:
            refusal.metadata["plan"] = call.entitled.plan_id
        return refusal
