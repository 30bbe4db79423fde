"""Rates of attempts over all processes, and of this process alone while the shared counters can't be reached."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.limits import LOCAL_SHARE, Rate, RateDecision, RateLimiter, StoreUnavailable

__all__ = ["AttemptRates", "LoginCounts", "alone"]

_log = structlog.get_logger()


@dataclass(slots=True)
class LoginCounts:
    """Attempts to sign in with a password: refused by a limit, failed, and failed beyond the limit of their tenant."""

    refused_account: int = 0
    refused_address: int = 0
    failed: int = 0
    failed_over_limit: int = 0


def alone(rate: Rate) -> Rate:
    """Return the rate of one process while the shared counters can't be reached: a quarter, as if four shared it."""
    return Rate(rate.per_second * LOCAL_SHARE, max(1, int(rate.burst * LOCAL_SHARE)))


class AttemptRates:
    """A RateLimiter that is never unavailable: without the shared counters each process counts by itself."""

    def __init__(self, shared: RateLimiter) -> None:
        self._shared = shared
        self._local = MemoryRateLimiter()

    async def take(self, key: str, rate: Rate) -> RateDecision:
        """Take one attempt if there is one."""
        try:
            return await self._shared.take(key, rate)
        except StoreUnavailable:
            _log.warning("attempts to sign in are counted by this process alone: the shared counters can't be reached")
            return self._local.take_now(key, alone(rate))
