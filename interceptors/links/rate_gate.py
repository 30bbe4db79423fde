"""What both limits of calls per time do, the one by address and the one by tenant: ask the limiter, and do what the
method's policy says when its store is away."""

from __future__ import annotations

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.errors import ResourceExhausted, Unavailable
from tenantmesh.interceptors.limits import Decision, InstantRateLimiter, Rate, RateLimiter, StoreUnavailable
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.policy import MethodPolicy, StoreDown

__all__ = ["RateGate"]

LOCAL_SHARE = 0.25
"""The part of a rate that one process admits by itself while the store is away: as if four of them shared it."""


class RateGate(Link):
    """Admits calls by key and rate. Links that extend it say which, and what a refusal tells."""

    def __init__(self, limiter: RateLimiter, local: MemoryRateLimiter, policy: MethodPolicy) -> None:
        self._limiter = limiter
        self._instant = limiter if isinstance(limiter, InstantRateLimiter) else None
        self._local = local
        self._policy = policy

    def _take(self, call: Call, key: str, rate: Rate, decision: Decision | None = None) -> Pending:
        """Decides at once where the limiter can, or has. Raises ResourceExhausted, or Unavailable by policy."""
        if decision is None and self._instant is not None:
            decision = self._instant.take_now(key, rate)
        if decision is None:
            return self._ask(call, key, rate)
        self._settle(call, rate, decision)
        return None

    async def _ask(self, call: Call, key: str, rate: Rate) -> None:
        try:
            decision = await self._limiter.take(key, rate)
        except StoreUnavailable as error:
            call.degraded = True
            if self._policy.store_down is StoreDown.DENY:
                raise Unavailable(
                    "LIMITER_UNAVAILABLE", "The rate limiter can't be reached. Retry with backoff."
                ) from error
            if self._policy.store_down is StoreDown.ALLOW:
                return
            share = Rate(rate.per_second * LOCAL_SHARE, max(1, int(rate.burst * LOCAL_SHARE)))
            decision = self._local.take_now(key, share)
        self._settle(call, rate, decision)

    def _settle(self, call: Call, rate: Rate, decision: Decision) -> None:
        """Raises the refusal of a call that is not admitted."""
        raise NotImplementedError

    def _refusal(self, message: str, decision: Decision, scope: str) -> ResourceExhausted:
        return ResourceExhausted(
            "RATE_LIMITED",
            message,
            metadata={"limit": str(decision.limit), "rate_class": self._policy.rate_class, "scope": scope},
            retry_after=decision.retry_after,
        )
