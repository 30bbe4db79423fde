"""Addresses of callers: the IP addresses in gRPC's peer strings, and the networks that count as one caller."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

__all__ = ["address_of", "network_of"]

UNKNOWN = "unknown"


def address_of(peer: str) -> str:
    """Return the IP address in gRPC's peer string: `ipv4:127.0.0.1:5000`, `ipv6:[::1]:5000` or with `%5B` escapes."""
    scheme, _, rest = peer.partition(":")
    if scheme == "ipv4":
        return rest.rpartition(":")[0]
    if scheme == "ipv6":
        return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]").partition("%")[0]
    return UNKNOWN


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network that counts as one caller: an IPv4 address, or the /64 of an IPv6 address, which is one
    host's. All texts that are no address count as one caller."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, 64), strict=False).network_address)
