"""The adapter of NameResolver: dnspython, over UDP, and over TCP where an answer is too long."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from datetime import timedelta

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import structlog

from tenantmesh.tenant_svc.domain_proofs.resolver import Addresses, NameResolver, NoAnswer, NoRecords, Texts

__all__ = ["DnsResolver"]

_log = structlog.get_logger("tenantmesh.domains")
_NO_SERVER = "The resolver of this installation could not be asked."


class DnsResolver(NameResolver):
    """See NameResolver.

    servers: the addresses and ports of the resolvers to ask, in this order; none for those of the system.
    timeout: the time for one question, over all servers and attempts.
    """

    def __init__(self, servers: Sequence[tuple[str, int]], timeout: timedelta) -> None:
        self._servers = tuple(servers)
        self._seconds = timeout.total_seconds()
        self._made: dns.asyncresolver.Resolver | None = None

    async def texts(self, name: str) -> Texts | NoRecords | NoAnswer:
        """See NameResolver."""
        found = await self._ask(name, "TXT")
        if not isinstance(found, dns.resolver.Answer):
            return found
        joined = [b"".join(record.strings) for record in found if record.rdtype == dns.rdatatype.TXT]
        return Texts(tuple(text.decode("ascii", "replace") for text in joined))

    async def addresses(self, host: str) -> Addresses | NoRecords | NoAnswer:
        """See NameResolver. One kind of address is enough where the other has no answer."""
        answers = await asyncio.gather(self._ask(host, "A"), self._ask(host, "AAAA"))
        found = [record.address for answer in answers if isinstance(answer, dns.resolver.Answer) for record in answer]
        if found:
            return Addresses(tuple(ipaddress.ip_address(address) for address in found))
        unknown = [answer for answer in answers if isinstance(answer, NoAnswer)]
        return unknown[0] if unknown else NoRecords(f"{host} has no address in the DNS.")

    async def _ask(self, name: str, kind: str) -> dns.resolver.Answer | NoRecords | NoAnswer:
        try:
            asked = dns.name.from_text(f"{name}.")
            return await self._resolver().resolve(asked, kind, search=False, lifetime=self._seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer) as error:
            missing = isinstance(error, dns.resolver.NXDOMAIN)
            return NoRecords(f"{name} does not exist in the DNS." if missing else f"{name} has no {kind} record.")
        except dns.resolver.NoResolverConfiguration:
            _log.exception("no DNS resolver is configured; set TENANTMESH_DOMAINS_RESOLVERS")
            return NoAnswer(_NO_SERVER)
        except (dns.exception.DNSException, OSError) as error:
            return NoAnswer(_unknown(name, error))

    def _resolver(self) -> dns.asyncresolver.Resolver:
        """Return the resolver, made at the first question: a server that makes no checks reads no configuration."""
        if self._made is None:
            made = dns.asyncresolver.Resolver(configure=not self._servers)
            if self._servers:
                made.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in self._servers]
            made.timeout = self._seconds / 2  # so that a second attempt, or a second server, has its time
            self._made = made
        return self._made


def _unknown(name: str, error: Exception) -> str:
    """Return words for a question that has no usable answer."""
    if isinstance(error, dns.exception.Timeout):
        return f"The DNS did not answer about {name} in time."
    # A failure of the name's servers, or an answer that makes no sense.
    return f"The DNS failed to answer about {name}." if isinstance(error, dns.exception.DNSException) else _NO_SERVER
