"""The HTTP adapter against servers on loopback: what strangers' hosts may not make it do."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tenantmesh.tenant_svc.domain_proofs.addresses import AddressRules
from tenantmesh.tenant_svc.domain_proofs.dns_resolver import DnsResolver
from tenantmesh.tenant_svc.domain_proofs.resolver import Addresses, NoAnswer, NoRecords
from tenantmesh.tenant_svc.domain_proofs.web_pages import HttpPages, NoPage, PageBody
from tests.authority import Authority
from tests.dns_server import NameServer
from tests.ports import free_port

PATH = "/.well-known/tenantmesh-proof"
LOOPBACK = AddressRules(["127.0.0.0/8"])
PATIENCE, SHORT = timedelta(seconds=10), timedelta(milliseconds=500)


class Web:
    """A server that answers every request with the same bytes. `requests` are the heads that it has read."""

    def __init__(self, port: int, answer: bytes, forever: bytes = b"", pause: float = 0.0) -> None:
        self.port = port
        self.requests: list[str] = []
        self.sent = 0
        self.asked = asyncio.Event()
        self.begins: asyncio.Event | None = None
        self._answer, self._forever, self._pause = answer, forever, pause

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            self.asked.set()
            if self.begins is not None:
                await self.begins.wait()
            writer.write(self._answer)
            while self._forever:
                writer.write(self._forever)
                self.sent += len(self._forever)
                await writer.drain()
                await asyncio.sleep(self._pause)
            await writer.drain()
            await asyncio.sleep(self._pause)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def web(
    answer: bytes,
    *,
    tls: ssl.SSLContext | None = None,
    forever: bytes = b"",
    pause: float = 0.0,
    address: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Web]:
    running = Web(port or free_port(), answer, forever, pause)
    server = await asyncio.start_server(running.serve, address, running.port, ssl=tls)
    try:
        yield running
    finally:
        server.close()


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
def host(zone: NameServer, request: pytest.FixtureRequest) -> str:
    """A host of the test's own on loopback."""
    name = f"h{abs(hash(request.node.name))}.hosts.test"
    zone.host(name, "127.0.0.1")
    return name


Pages = Callable[..., HttpPages]


@pytest.fixture
def pages(resolver: DnsResolver) -> Pages:
    def make(
        http: int,
        https: int = 0,
        *,
        rules: AddressRules = LOOPBACK,
        tls: ssl.SSLContext | None = None,
        timeout: timedelta = PATIENCE,
    ) -> HttpPages:
        return HttpPages(resolver, rules, timeout, (http, https or free_port()), tls)

    return make


async def test_a_page_is_read_with_the_name_of_the_host(pages: Pages, host: str) -> None:
    async with web(reply("200 OK", b"the text\n")) as server:
        assert await pages(server.port).read(host, PATH) == PageBody("the text\n")
    (head,) = server.requests
    assert head.startswith(f"GET {PATH} HTTP/1.1\r\n")
    assert f"host: {host}\r\n" in head.lower()
    assert "cookie" not in head.lower()


async def test_no_page_is_no_proof(pages: Pages, host: str) -> None:
    async with web(reply("404 Not Found", b"the text")) as server:
        found = await pages(server.port).read(host, PATH)
    assert found == NoPage(f"http://{host}{PATH} answered with status 404; 200 was expected.")


async def test_redirects_are_not_followed(pages: Pages, host: str) -> None:
    async with web(reply("200 OK", b"elsewhere")) as elsewhere:
        location = f"location: http://127.0.0.1:{elsewhere.port}/"
        async with web(reply("302 Found", b"", location)) as server:
            found = await pages(server.port).read(host, PATH)
    assert isinstance(found, NoPage)
    assert "status 302" in found.detail
    assert not elsewhere.requests


async def test_https_is_asked_where_http_redirects(pages: Pages, host: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.identity("spiffe://mesh.test/web", host)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(identity.certificate, identity.key)
    async with (
        web(reply("301 Moved", b"", f"location: https://{host}/")) as plain,
        web(reply("200 OK", b"text"), tls=tls) as sealed,
    ):
        trusting = pages(plain.port, sealed.port, tls=ssl.create_default_context(cafile=str(authority.certificate)))
        assert await trusting.read(host, PATH) == PageBody("text")
        # A certificate of nobody that is known proves nothing.
        found = await pages(plain.port, sealed.port).read(host, PATH)
    assert isinstance(found, NoPage)
    assert "gave no answer of HTTP" in found.detail


async def test_an_error_of_the_server_leaves_the_result_open(pages: Pages, host: str) -> None:
    async with web(reply("503 Service Unavailable")) as server:
        assert isinstance(await pages(server.port).read(host, PATH), NoAnswer)


async def test_nothing_that_listens_is_no_page(pages: Pages, host: str) -> None:
    found = await pages(free_port()).read(host, PATH)
    assert isinstance(found, NoPage)


async def test_a_server_that_does_not_answer_is_not_waited_for(pages: Pages, host: str) -> None:
    async with web(b"", pause=5) as server, asyncio.timeout(10):
        assert isinstance(await pages(server.port, timeout=SHORT).read(host, PATH), NoAnswer)
    async with web(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x", pause=0.1) as dripping, asyncio.timeout(10):
        assert isinstance(await pages(dripping.port, timeout=SHORT).read(host, PATH), NoAnswer)


async def test_a_body_without_an_end_is_read_to_its_bound(pages: Pages, host: str) -> None:
    async with web(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x" * 65536) as server, asyncio.timeout(20):
        found = await pages(server.port).read(host, PATH)
    assert found == PageBody("x" * 1024)
    assert server.sent < 50_000_000


async def test_a_compressed_body_is_not_expanded(pages: Pages, host: str) -> None:
    packed = b"\x1f\x8b" + bytes(100)
    async with web(reply("200 OK", packed, "content-encoding: gzip")) as server:
        found = await pages(server.port).read(host, PATH)
    assert isinstance(found, PageBody)
    assert len(found.text) == len(packed)


async def test_a_bomb_of_compressed_bytes_is_read_as_it_is(pages: Pages, host: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    async with web(reply("200 OK", bomb, "content-encoding: gzip")) as server:
        found = await pages(server.port).read(host, PATH)
    assert found == PageBody(bomb[:1024].decode("ascii", "replace"))


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n", b""], ids=["headers without an end", "answers that are to be continued"]
)
async def test_a_head_without_an_end_is_not_read_for_ever(pages: Pages, host: str, head: bytes) -> None:
    forever = b"x-more: x\r\n" * 500 if head else b"HTTP/1.1 102 Processing\r\n\r\n" * 500
    async with web(head, forever=forever) as server, asyncio.timeout(20):
        found = await pages(server.port, timeout=timedelta(seconds=1)).read(host, PATH)
    assert not isinstance(found, PageBody)
    assert server.sent < 500_000_000


async def test_a_name_that_changes_its_address_is_connected_to_at_the_one_that_was_judged(
    zone: NameServer, host: str
) -> None:
    """DNS rebinding: the DNS is asked once for http and https together, and the connections ask no more."""

    class Rebound(DnsResolver):
        asked = 0

        async def addresses(self, host: str) -> Addresses | NoRecords | NoAnswer:
            self.asked += 1
            found = await super().addresses(host)
            zone.host(host, "127.0.0.2")  # nothing listens there
            return found

    rebound = Rebound([("127.0.0.1", zone.port)], PATIENCE)
    async with web(reply("302 Found", b"", "location: http://127.0.0.2/")) as plain:
        found = await HttpPages(rebound, LOOPBACK, PATIENCE, (plain.port, free_port())).read(host, PATH)
    assert isinstance(found, NoPage)
    assert (rebound.asked, len(plain.requests)) == (1, 1)


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EMFILE])
async def test_a_network_that_is_away_says_nothing_about_the_host(
    pages: Pages, host: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Else an outage of ours would make names fail that a page has proven."""

    async def away(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    port = free_port()
    with monkeypatch.context() as patched:
        patched.setattr("anyio.connect_tcp", away)
        found = await pages(port).read(host, PATH)
    assert isinstance(found, NoAnswer)


async def test_no_answer_of_http_is_no_page(pages: Pages, host: str) -> None:
    async with web(b"220 mail.example ESMTP\r\n") as server:
        assert isinstance(await pages(server.port).read(host, PATH), NoPage)


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("::ffff:7f00:1",), ("10.0.0.1",)])
async def test_a_host_with_a_private_address_is_never_connected_to(
    pages: Pages, zone: NameServer, host: str, addresses: tuple[str, ...]
) -> None:
    zone.host(host, *addresses)
    async with web(reply("200 OK", b"the text")) as server:
        found = await pages(server.port, server.port, rules=AddressRules(())).read(host, PATH)
    assert found == NoPage(f"{host} has an address that is not public, which is never connected to.")
    assert not server.requests


async def test_the_next_address_is_asked_where_one_refuses(pages: Pages, zone: NameServer, host: str) -> None:
    zone.host(host, "127.0.0.3", "127.0.0.2", "127.0.0.1")  # nothing listens at the first two
    async with web(reply("200 OK", b"the text")) as server:
        assert await pages(server.port).read(host, PATH) == PageBody("the text")


async def test_the_next_address_is_asked_where_one_is_silent(pages: Pages, zone: NameServer, host: str) -> None:
    zone.host(host, "127.0.0.2", "127.0.0.1")
    async with (
        web(reply("200 OK", b"the text")) as server,
        web(b"", pause=10, address="127.0.0.2", port=server.port) as silent,
    ):
        found = await pages(server.port, timeout=timedelta(seconds=4)).read(host, PATH)
    assert found == PageBody("the text")
    assert len(silent.requests) == 1


async def test_an_address_that_is_slow_is_still_listened_to(pages: Pages, zone: NameServer, host: str) -> None:
    """It has more than its part of the time where the others have nothing to say."""
    zone.host(host, "127.0.0.1", "127.0.0.2")
    async with (
        web(reply("200 OK", b"the text")) as slow,
        web(b"", pause=10, address="127.0.0.2", port=slow.port) as silent,
    ):
        slow.begins = silent.asked
        found = await pages(slow.port, timeout=timedelta(seconds=4)).read(host, PATH)
    assert found == PageBody("the text")


async def test_the_first_address_that_speaks_http_says_what_there_is(pages: Pages, zone: NameServer, host: str) -> None:
    zone.host(host, "127.0.0.1", "127.0.0.2")
    async with (
        web(reply("404 Not Found")) as first,
        web(reply("200 OK", b"the text"), address="127.0.0.2", port=first.port) as second,
    ):
        found = await pages(first.port).read(host, PATH)
    assert isinstance(found, NoPage)
    assert not second.requests


async def test_only_so_many_addresses_are_asked_and_none_for_longer_than_one_page(
    pages: Pages, zone: NameServer, host: str
) -> None:
    addresses = [f"127.0.0.{number}" for number in range(2, 6)]
    zone.host(host, *addresses, "127.0.0.1")
    async with web(reply("200 OK", b"the text")) as server, AsyncExitStack() as stack:
        silent = [
            await stack.enter_async_context(web(b"", pause=10, address=address, port=server.port))
            for address in addresses
        ]
        async with asyncio.timeout(30):
            found = await pages(server.port, timeout=timedelta(seconds=1)).read(host, PATH)
    assert isinstance(found, NoAnswer)
    assert not server.requests
    assert sum(len(each.requests) for each in silent) == 3


async def test_of_many_addresses_one_that_is_private_refuses_all(pages: Pages, zone: NameServer, host: str) -> None:
    """Beyond those that would be asked, too: the next check could be about it."""
    zone.host(host, "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.1.1")
    async with web(reply("200 OK", b"the text")) as server:
        found = await pages(server.port, rules=AddressRules(["127.0.0.0/24"])).read(host, PATH)
    assert found == NoPage(f"{host} has an address that is not public, which is never connected to.")
    assert not server.requests


async def test_a_proxy_of_the_environment_is_not_asked(
    pages: Pages, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web(reply("200 OK", b"proxied")) as proxy, web(reply("200 OK", b"direct")) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert await pages(server.port).read(host, PATH) == PageBody("direct")
    assert not proxy.requests


async def test_a_host_without_an_address_has_no_page(pages: Pages, zone: NameServer) -> None:
    assert isinstance(await pages(free_port()).read("gone.hosts.test", PATH), NoPage)
    zone.fail("broken.hosts.test", "SERVFAIL")
    assert isinstance(await pages(free_port()).read("broken.hosts.test", PATH), NoAnswer)
