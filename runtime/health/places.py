"""Places of health watches: bounded in all and for each address, since watches need no credential."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from urllib.parse import unquote

__all__ = ["WatchPlaces"]


class WatchPlaces:
    """At most `most` places, of which one address may have `per_address`. Safe to use from any thread."""

    def __init__(self, most: int, per_address: int) -> None:
        self._most = most
        self._per_address = per_address
        self._taken: Counter[str] = Counter()
        self.refused = 0
        """Watches for which there was no place."""
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """The places in use. Any thread may read it."""
        with self._lock:
            return self._taken.total()

    def take(self, peer: str) -> bool:
        """Take a place for the peer of a call, as gRPC writes it. Returns False when there is none for it."""
        network = _network(peer)
        with self._lock:
            if self._taken.total() >= self._most or self._taken[network] >= self._per_address:
                self.refused += 1
                return False
            self._taken[network] += 1
        return True

    def give_back(self, peer: str) -> None:
        """Free a place that was taken."""
        network = _network(peer)
        with self._lock:
            self._taken[network] -= 1
            if not self._taken[network]:
                del self._taken[network]


def _network(peer: str) -> str:
    """Return the network of a peer such as `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`: an IPv4 address, or the /64
    of an IPv6 one. All others, such as those of a socket in a folder, are one."""
    scheme, _, rest = unquote(peer).partition(":")
    address = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_network(f"{address}/{64 if scheme == 'ipv6' else 32}", strict=False))
    except ValueError:
        return scheme
