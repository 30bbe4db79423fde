"""The port through which checks ask the DNS. Adapter: `dns_resolver`."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol, TypeAlias

__all__ = ["Addresses", "IpAddress", "NameResolver", "NoAnswer", "NoRecords", "Texts"]

IpAddress: TypeAlias = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Texts:
    """The TXT records of a name, each with its strings joined."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a host."""

    addresses: tuple[IpAddress, ...]


@dataclass(frozen=True, slots=True)
class NoRecords:
    """The DNS has answered that there is nothing of that kind. `detail` says so in words."""

    detail: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nobody has given a usable answer, so that nothing is known. `detail` says why in words."""

    detail: str


class NameResolver(Protocol):
    """Asks the DNS. Both methods must end within the time of the installation, and raise nothing."""

    async def texts(self, name: str) -> Texts | NoRecords | NoAnswer:
        """Must return the TXT records of the name, following aliases."""
        ...

    async def addresses(self, host: str) -> Addresses | NoRecords | NoAnswer:
        """Must return every IPv4 and IPv6 address of the host, following aliases."""
        ...
