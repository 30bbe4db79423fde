"""Limits the attempts to sign in to one account. The chain limits the calls of one network address."""

from __future__ import annotations

from hashlib import sha256

from tenantmesh.auth_svc.sessions.attempt_rates import AttemptRates, LoginCounts, alone
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.keys import tenant_key
from tenantmesh.interceptors.limits import Rate
from tenantmesh.interceptors.tenants import TenantId

__all__ = ["ATTEMPTS", "LOCAL_ATTEMPTS", "LoginAttempts"]

ATTEMPTS = Rate(per_second=1 / 10, burst=20)
"""Twenty at once, then one every 10 s, whether the password is right or wrong. That is too few to guess a password of
15 characters, and nobody can lock an account for good."""
LOCAL_ATTEMPTS = alone(ATTEMPTS)


class LoginAttempts:
    """Reserves an attempt before the password is hashed, so that a thousand parallel guesses cost twenty hashes.

    Attempts are counted by normalised address, also without an account, so that a refusal does not tell who has one.
    Reserve when the turn to hash has come: an attempt that was refused a turn then costs the account nothing.
    """

    def __init__(self, rates: AttemptRates, counts: LoginCounts) -> None:
        self._rates = rates
        self._counts = counts

    async def reserve(self, tenant_id: TenantId, email_normalised: str) -> None:
        """Take one attempt. Raises ResourceExhausted `RATE_LIMITED` when none is left."""
        # Hashed, so that no address is kept in Redis.
        key = tenant_key(tenant_id, "login", sha256(email_normalised.encode()).hexdigest())
        decision = await self._rates.take(key, ATTEMPTS)
        if not decision.allowed:
            self._counts.refused_account += 1
            raise ResourceExhausted(
                "RATE_LIMITED",
                "Too many attempts to sign in with this address. Wait as long as RetryInfo says.",
                metadata={"limit": str(decision.limit), "scope": "account"},
                retry_after=decision.retry_after,
            )
