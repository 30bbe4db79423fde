"""Limits the attempts to sign in to one account. The chain limits the calls of one network address."""

from __future__ import annotations

from hashlib import sha256

import structlog

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.keys import tenant_key
from tenantmesh.interceptors.limits import Rate, RateLimiter, StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["ATTEMPTS", "LOCAL_ATTEMPTS", "LoginAttempts"]

_log = structlog.get_logger()

ATTEMPTS = Rate(per_second=1 / 10, burst=20)
"""Twenty at once, then one every 10 s, whether the password is right or wrong. That is too few to guess a password of
15 characters, and nobody can lock an account for good."""
LOCAL_ATTEMPTS = Rate(per_second=1 / 40, burst=5)
"""The rate of one process while the shared counters can't be reached: a quarter, as if four processes shared it."""


class LoginAttempts:
    """Reserves an attempt before the password is hashed, so that a thousand parallel guesses cost twenty hashes.

    Attempts are counted by normalised address, also without an account, so that a refusal does not tell who has one.
    While the shared counters can't be reached, each process counts by itself, with a smaller share.
    """

    def __init__(self, shared: RateLimiter) -> None:
        self._shared = shared
        self._local = MemoryRateLimiter()

    async def reserve(self, tenant_id: TenantId, email_normalised: str) -> None:
        """Take one attempt. Raises ResourceExhausted `RATE_LIMITED` when none is left."""
        # Hashed, so that no address is kept in Redis.
        key = tenant_key(tenant_id, "login", sha256(email_normalised.encode()).hexdigest())
        try:
            decision = await self._shared.take(key, ATTEMPTS)
        except StoreUnavailable:
            _log.warning("login attempts are counted by this process alone: the shared counters can't be reached")
            decision = self._local.take_now(key, LOCAL_ATTEMPTS)
        if not decision.allowed:
            raise ResourceExhausted(
                "RATE_LIMITED",
                "Too many attempts to sign in with this address. Wait as long as RetryInfo says.",
                metadata={"limit": str(decision.limit), "scope": "account"},
                retry_after=decision.retry_after,
            )
