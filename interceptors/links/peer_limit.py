"""Link 7: how often one address may call a public method. Before any secret is compared."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from tenantmesh.interceptors.backends.memory.rate_limiter import MemoryRateLimiter
from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.keys import peer_key
from tenantmesh.interceptors.limits import Decision, Rate, RateLimiter
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.links.rate_gate import RateGate
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError

__all__ = ["PeerLimit", "network_of"]


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
        return _BoundPeerLimit(self._limiter, self._local, policy, self._rates[policy.rate_class])


class _BoundPeerLimit(RateGate):
    def __init__(self, limiter: RateLimiter, local: MemoryRateLimiter, policy: MethodPolicy, rate: Rate) -> None:
        super().__init__(limiter, local, policy)
        self._rate = rate

    def enter(self, call: Call) -> Pending:
        key = peer_key(network_of(call.peer_address), self._policy.rate_class)
        return self._take(call, key, self._rate)

    def _settle(self, call: Call, rate: Rate, decision: Decision) -> None:  # noqa: ARG002  # the same for every caller
        if not decision.allowed:
            raise self._refusal(
                "Too many calls from this address in too short a time. Wait as long as RetryInfo says.",
                decision,
                "peer",
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
