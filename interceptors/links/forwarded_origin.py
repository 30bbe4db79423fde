"""Which peers may speak for others. What a proxy says of a call's origin counts only from a configured one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from tenantmesh.interceptors.call import Call, address_of
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.metadata import FORWARDED_FOR, FORWARDED_HOST, TENANT_QUERY

__all__ = ["ForwardedOrigin"]

_CACHED = 4096


class ForwardedOrigin(Link):
    """Takes the caller's address, host and query from a trusted proxy's metadata, and drops them from anyone else's.

    A part of metadata hygiene: it runs right after it, on methods that read such things.
    """

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = tuple(ipaddress.ip_network(each) for each in trusted)
        self._known: dict[str, bool] = {}

    def enter(self, call: Call) -> Pending:
        """Sets `call.peer_ip`, or removes forwarded headers that don't count."""
        headers = call.headers
        if not (FORWARDED_HOST in headers or TENANT_QUERY in headers or call.policy.public):
            return None  # nothing here came through a proxy, and nobody asks for the address
        address = address_of(call.context.peer())
        if not self._trusts(address):
            call.peer_ip = address
            headers.pop(FORWARDED_HOST, None)
            headers.pop(TENANT_QUERY, None)
            return None
        # The last entry is what the proxy itself saw; the ones before it are only what it was told.
        forwarded = [value for key, value in call.metadata if key == FORWARDED_FOR and isinstance(value, str)]
        call.peer_ip = forwarded[-1].rpartition(",")[2].strip() if forwarded else address
        return None

    def _trusts(self, address: str) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            known = self._known[address] = self._inside(address)
        return known

    def _inside(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._networks if network.version == ip.version)
