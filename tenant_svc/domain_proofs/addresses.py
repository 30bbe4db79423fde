"""The addresses that a check may connect to: those of the public internet. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from tenantmesh.tenant_svc.domain_proofs.resolver import IpAddress

__all__ = ["AddressRules"]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LAST_32_BITS = 0xFFFF_FFFF
_NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001:1::/32", "3fff::/20")))
"""Networks that Python, or some versions of it, call public. In the first three the nearest router answers, which may
be the installation's own; the last is for documents."""


class AddressRules:
    """Says which addresses may be connected to. `allowed` are networks that may, although they are not public."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = tuple(ipaddress.ip_network(network) for network in allowed)

    def may_connect(self, address: IpAddress) -> bool:
        """Return whether the address, and every IPv4 address within it, is public or allowed."""
        if any(address in network for network in self._allowed):
            return True
        return _is_public(address) and all(self.may_connect(inner) for inner in _within(address))


def _is_public(address: IpAddress) -> bool:
    if _stands_for_ipv4(address):
        return True
    private = (
        any(address in network for network in _NOT_PUBLIC),
        address.is_multicast,
        address.is_reserved,
        address.is_unspecified,
        address.is_loopback,
        address.is_link_local,
        isinstance(address, ipaddress.IPv6Address) and address.is_site_local,
    )
    return address.is_global and not any(private)


def _stands_for_ipv4(address: IpAddress) -> bool:
    """Return whether the address is one of IPv4 in another spelling, which alone is judged: versions of Python disagree
    about the spelling."""
    return isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped is not None or address in _NAT64)


def _within(address: IpAddress) -> Iterator[IpAddress]:
    """Yield the IPv4 addresses to which a translator or a tunnel would carry the packets."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if _stands_for_ipv4(address):
        yield ipaddress.IPv4Address(int(address) & _LAST_32_BITS)
