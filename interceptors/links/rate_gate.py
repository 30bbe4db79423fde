"""The base of the limits by address and by tenant: asks the limiter, and follows the method's policy when its store is
away."""

from __future__ import annotations

from tenantmesh.interceptors.errors import ResourceExhausted, Unavailable
from tenantmesh.interceptors.limits import (
    LOCAL_SHARE,
    InstantRateLimiter,
    LocalRateLimiter,
    Rate,
    RateDecision,
    RateLimiter,
    StoreUnavailable,
)
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, StoreDown

__all__ = ["RateGate"]


class RateGate:
    """Admits calls by key and rate. A subclass chooses both, and words the refusal."""

    def __init__(self, limiter: RateLimiter, local: LocalRateLimiter, policy: MethodPolicy) -> None:
        self._limiter = limiter
        self._instant = limiter if isinstance(limiter, InstantRateLimiter) else None
        self._local = local
        self._policy = policy

    def _take(self, call: Passage, key: str, rate: Rate, decision: RateDecision | None = None) -> Waiting:
        """Decide at once where the limiter can. Raises ResourceExhausted, or Unavailable where the policy says so."""
        if decision is None and self._instant is not None:
            decision = self._instant.take_now(key, rate)
        if decision is None:
            return self._ask(call, key, rate)
        self._conclude(call, rate, decision)
        return None

    async def _ask(self, call: Passage, key: str, rate: Rate) -> None:
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
        self._conclude(call, rate, decision)

    def _conclude(self, call: Passage, rate: Rate, decision: RateDecision) -> None:
        """Raise the refusal of a call that is not admitted."""
        raise NotImplementedError

    def _refusal(self, message: str, decision: RateDecision, scope: str) -> ResourceExhausted:
        return ResourceExhausted(
            "RATE_LIMITED",
            message,
            metadata={"limit": str(decision.limit), "rate_class": self._policy.rate_class, "scope": scope},
            retry_after=decision.retry_after,
        )
