"""A DNS server for tests, on loopback: real packets over UDP and TCP, with records that a test sets while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, TXT, A, DNSRecord
from dnslib.dns import DNSError
from dnslib.server import DNSHandler, DNSLogger, DNSServer

from tests.ports import free_port

LONGEST_OVER_UDP = 512
SILENT = "silent"
"""In place of records: the server does not answer."""


class _Handler(DNSHandler):
    def get_reply(self, data: bytes) -> bytes:
        """As dnslib's, but with the question in an answer that is cut short, without which nobody would believe it."""
        reply: bytes = super().get_reply(data)
        if self.protocol == "tcp" or len(reply) <= LONGEST_OVER_UDP:
            return reply
        short = DNSRecord.parse(data).reply()
        short.header.tc = 1
        cut: bytes = short.pack()
        return cut


class NameServer:
    """Answers about the names that it was given, and that others do not exist. `asked` has the names of all questions,
    each with its type and `udp` or `tcp`."""

    def __init__(self, file: Path | None = None) -> None:
        self.port = free_port()
        self._file = file
        self.asked: list[tuple[str, str, str]] = []
        self._records: dict[str, list[tuple[str, Any]] | str] = {}
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Its address, as settings want it."""
        return f"127.0.0.1:{self.port}"

    def txt(self, name: str, *texts: str | list[bytes]) -> None:
        """The name has these TXT records in place of others. A list is one record of several strings."""
        self._put(name, "TXT", texts)

    def host(self, name: str, *addresses: str) -> None:
        """The name has these addresses in place of others."""
        self._put(name, "AAAA", [address for address in addresses if ":" in address])
        self._put(name, "A", [address for address in addresses if ":" not in address])

    def alias(self, name: str, target: str) -> None:
        """The name is another name for the target."""
        self._put(name, "CNAME", [target])

    def fail(self, name: str, how: str) -> None:
        """The name is answered with this code, such as SERVFAIL, or not at all: SILENT."""
        with self._lock:
            self._records[name.lower()] = how

    def remove(self, name: str) -> None:
        """The name does not exist any more."""
        with self._lock:
            self._records.pop(name.lower(), None)

    def _put(self, name: str, kind: str, values: Any) -> None:
        with self._lock:
            known = self._records.get(name.lower())
            others = [each for each in known if each[0] != kind] if isinstance(known, list) else []
            self._records[name.lower()] = [*others, *((kind, value) for value in values)]

    def resolve(self, request: Any, handler: Any) -> Any:
        """As dnslib's resolvers."""
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        reply = request.reply()
        with self._lock:
            self.asked.append((name, kind, handler.protocol))
            self._read_file()
            self._answer(reply, name, kind)
        return reply

    def _read_file(self) -> None:
        """Read the file's lines: a name, and the text of its TXT record."""
        if self._file is not None and self._file.exists():
            for line in self._file.read_text().splitlines():
                name, _, text = line.partition(" ")
                self._records[name.lower()] = [("TXT", text)]

    def _answer(self, reply: Any, name: str, kind: str) -> None:
        if any(str(answered.rname).rstrip(".") == name for answered in reply.rr):
            return  # aliases in a circle
        known = self._records.get(name)
        if known == SILENT:
            raise DNSError("no answer")
        if known is None or isinstance(known, str):
            reply.header.rcode = getattr(RCODE, "NXDOMAIN" if known is None else known)
            return
        for held, value in known:
            if held == "CNAME":
                reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(value), ttl=0))
                self._answer(reply, value.lower(), kind)
            elif held == kind:
                reply.add_answer(RR(name, getattr(QTYPE, kind), rdata=_data(kind, value), ttl=0))


def _data(kind: str, value: Any) -> Any:
    return {"TXT": TXT, "A": A, "AAAA": AAAA}[kind](value)


@contextmanager
def name_server(file: Path | None = None) -> Iterator[NameServer]:
    """A running server. It reads a file at every question, if there is one."""
    zone = NameServer(file)
    quiet = DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data")
    kinds = [
        DNSServer(zone, address="127.0.0.1", port=zone.port, tcp=tcp, logger=quiet, handler=_Handler)
        for tcp in (False, True)
    ]
    for kind in kinds:
        kind.start_thread()
    try:
        yield zone
    finally:
        for kind in kinds:
            kind.stop()
            kind.server.server_close()
