"""Link 6: how often one address may call a public method. Before any secret is compared."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from interceptors.backends.memory import MemoryRateLimiter
from interceptors.call import Call
from interceptors.errors import ResourceExhausted, Unavailable
from interceptors.limits import Decision, Rate, RateLimiter, StoreUnavailable
from interceptors.link import Link, Pending
from interceptors.policy import MethodPolicy, PolicyError, StoreDown

__all__ = ["PeerLimit"]

LOCAL_SHARE = 0.25
"""The part of a rate that one process admits by itself while the store is away: as if four of them shared it."""


class PeerLimit(Link):
    """Limits public methods by rate class and network: IPv4 by address, IPv6 by /64, since that is one host's."""

    def __init__(self, limiter: RateLimiter | None, rates: Mapping[str, Rate]) -> None:
        self._limiter = limiter
        self._rates = rates
        self._local = MemoryRateLimiter()

    def bind(self, policy: MethodPolicy) -> Link | None:
        """The link for one rate class. Raises PolicyError for a class without a rate, or where there is no limiter."""
        if not policy.public or not policy.rate_class:
            return None
        if self._limiter is None:
            raise PolicyError(f"{policy.method} is limited by address: give the chain a limiter")
        if policy.rate_class not in self._rates:
            raise PolicyError(f"{policy.method}: rate_class {policy.rate_class!r} is not among {sorted(self._rates)}")
        return _BoundPeerLimit(self._limiter, self._local, self._rates[policy.rate_class], policy)


class _BoundPeerLimit(Link):
    def __init__(self, limiter: RateLimiter, local: MemoryRateLimiter, rate: Rate, policy: MethodPolicy) -> None:
        self._limiter = limiter
        self._local = local
        self._rate = rate
        self._local_rate = Rate(rate.per_second * LOCAL_SHARE, max(1, int(rate.burst * LOCAL_SHARE)))
        self._policy = policy

    def enter(self, call: Call) -> Pending:
        return self._take(call)

    async def _take(self, call: Call) -> None:
        key = f"tm:peer:{{{network_of(call.peer_address)}}}:{self._policy.rate_class}"
        try:
            decision = await self._limiter.take(key, self._rate)
        except StoreUnavailable as error:
            call.degraded = True
            if self._policy.store_down is StoreDown.DENY:
                raise Unavailable(
                    "LIMITER_UNAVAILABLE", "The rate limiter can't be reached. Retry with backoff."
                ) from error
            if self._policy.store_down is StoreDown.ALLOW:
                return
            decision = self._local.take_now(key, self._local_rate)
        if not decision.allowed:
            raise self._refusal(decision)

    def _refusal(self, decision: Decision) -> ResourceExhausted:
        return ResourceExhausted(
            "RATE_LIMITED",
            "Too many calls from this address in too short a time. Wait as long as RetryInfo says.",
            metadata={"limit": str(decision.limit), "rate_class": self._policy.rate_class, "scope": "peer"},
            retry_after=decision.retry_after,
        )


def network_of(address: str) -> str:
    """The network that counts as one caller; text that is no address counts as one caller of its own kind."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if ip.version == 4:  # noqa: PLR2004
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False).network_address)
