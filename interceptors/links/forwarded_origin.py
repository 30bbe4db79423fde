"""Reads what a proxy says of a call's origin, from trusted proxies only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from tenantmesh.interceptors.addresses import address_of
from tenantmesh.interceptors.link import Moments
from tenantmesh.interceptors.metadata import FORWARDED_FOR, FORWARDED_HOST, TENANT_QUERY
from tenantmesh.interceptors.passage import Passage, Waiting
from tenantmesh.interceptors.policy import MethodPolicy

__all__ = ["ForwardedOrigin"]

CAPACITY = 4096
"""Addresses remembered as trusted or not."""


class ForwardedOrigin:
    """Takes the caller's address, host and query from a trusted proxy's metadata, and drops them from anyone else's.

    A part of metadata hygiene: it runs right after it, on calls that have such metadata.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(network) for network in trusted)
        self._known: dict[str, bool] = {}

    def bind(self, policy: MethodPolicy) -> Moments:
        """As `Link.bind`."""
        return Moments(enter=self.enter)

    def enter(self, call: Passage) -> Waiting:
        """Set `call.peer_ip`, or remove forwarded headers that don't count."""
        headers = call.headers
        if not (FORWARDED_HOST in headers or TENANT_QUERY in headers or call.policy.public):
            return None  # the call did not come through a proxy, and no link needs the address
        address = address_of(call.context.peer())
        if not self._trusts(address):
            call.peer_ip = address
            headers.pop(FORWARDED_HOST, None)
            headers.pop(TENANT_QUERY, None)
            return None
        # The last entry is the address that the proxy itself saw; the others are only what its caller claimed.
        forwarded = [value for key, value in call.metadata if key == FORWARDED_FOR and isinstance(value, str)]
        call.peer_ip = forwarded[-1].rpartition(",")[2].strip() if forwarded else address
        return None

    def _trusts(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= CAPACITY:
                self._known.clear()
            known = self._known[address] = self._inside(address)
        return known

    def _inside(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._networks if network.version == ip.version)
