"""Limits how often one address calls a public method. It stands before any secret is compared."""

from __future__ import annotations

from collections.abc import Mapping

from tenantmesh.interceptors.addresses import network_of
from tenantmesh.interceptors.keys import peer_key
from tenantmesh.interceptors.limits import LocalRateLimiter, Rate, RateDecision, RateLimiter
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.links.rate_gate import RateGate
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy, PolicyError

__all__ = ["PeerLimit"]


class PeerLimit:
    """Limits public methods by rate class and network: IPv4 by address, IPv6 by /64, which is one host's."""

    def __init__(self, limiter: RateLimiter | None, local: LocalRateLimiter, rates: Mapping[str, Rate]) -> None:
        self._limiter = limiter
        self._local = local
        self._rates = rates

    def bind(self, policy: MethodPolicy) -> Moments | None:
        """As `Link.bind`. Raises PolicyError for a class without a rate, or where there is no limiter."""
        if not policy.public or not policy.rate_class:
            return None
        if self._limiter is None:
            raise PolicyError(f"{policy.method} is limited by address: give the chain a limiter")
        if policy.rate_class not in self._rates:
            raise PolicyError(f"{policy.method}: rate_class {policy.rate_class!r} is not among {sorted(self._rates)}")
        bound = _BoundPeerLimit(self._limiter, self._local, policy, self._rates[policy.rate_class])
        return Moments(enter=bound.enter)


class _BoundPeerLimit(RateGate):
    def __init__(self, limiter: RateLimiter, local: LocalRateLimiter, policy: MethodPolicy, rate: Rate) -> None:
        super().__init__(limiter, local, policy)
        self._rate = rate

    def enter(self, call: Passage) -> Waiting:
        key = peer_key(network_of(call.peer_address), self._policy.rate_class)
        return self._take(call, key, self._rate)

    def _conclude(self, call: Passage, rate: Rate, decision: RateDecision) -> None:
        if not decision.allowed:
            raise self._refusal(
                "Too many calls from this address in too short a time. Wait as long as RetryInfo says.",
                decision,
                "peer",
            )
