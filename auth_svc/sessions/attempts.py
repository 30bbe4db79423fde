"""How often a password may be tried for one account. How often an address may call is the chain's to limit."""

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
"""Twenty at once, then one every 10 s, right or wrong: a guesser gets nowhere against passwords of 15 characters, and
nobody can lock somebody else out for good."""
LOCAL_ATTEMPTS = Rate(per_second=1 / 40, burst=5)
"""What one process admits by itself while the shared counters are away: as if four of them shared the rate."""


class LoginAttempts:
    """Reserves an attempt before the password is hashed, so that a thousand parallel guesses cost twenty hashes.

    Counts by normalised address, with or without an account behind it, so that a refusal tells nothing. While the
    shared store is away each process counts for itself, with a smaller share: never without limit.
    """

    def __init__(self, shared: RateLimiter) -> None:
        self._shared = shared
        self._local = MemoryRateLimiter()

    async def reserve(self, tenant_id: TenantId, email_normalised: str) -> None:
        """Takes one attempt. Raises ResourceExhausted `RATE_LIMITED` when there is none left."""
        # Hashed: the store is no place for addresses.
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
