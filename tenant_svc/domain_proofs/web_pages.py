"""The port through which checks read a page of a login host, and its adapter: httpx, without any redirect."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from ipaddress import IPv6Address
from typing import Protocol

import httpx

from tenantmesh.tenant_svc.domain_proofs.addresses import AddressRules
from tenantmesh.tenant_svc.domain_proofs.resolver import Addresses, IpAddress, NameResolver, NoAnswer

__all__ = ["HttpPages", "NoPage", "PageBody", "WebPages"]

_MOST_BYTES = 1024
"""The bytes that are read of a body: a proof has fewer than a hundred."""
_MOST_ADDRESSES = 3
"""The addresses of a host that are asked for one page."""
_HEADERS = {"user-agent": "tenantmesh-domain-check", "accept": "text/plain, */*", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class PageBody:
    """The beginning of a page that was answered with status 200."""

    text: str


@dataclass(frozen=True, slots=True)
class NoPage:
    """The host has no such page. `detail` says so in words; `final` says that https need not be asked too."""

    detail: str
    final: bool = True


class WebPages(Protocol):
    """Reads pages of hosts that strangers have named."""

    async def read(self, host: str, path: str) -> PageBody | NoPage | NoAnswer:
        """Must read the page within the time of the installation, and raise nothing. Must connect to none but public
        addresses, and to the address that it has judged. Must follow no redirect and bound what it reads."""
        ...


@dataclass(frozen=True, slots=True)
class _Heard:
    """An answer; `by_host` says that an address has spoken HTTP, so that no other one need be asked."""

    answer: PageBody | NoPage | NoAnswer
    by_host: bool


class HttpPages(WebPages):
    """See WebPages. It asks over http, and over https where http has redirected or not answered.

    Of several addresses it asks the next one when one fails, or is silent for its part of the time. It goes on
    listening to those that were asked.

    ports: the ports of http and of https. timeout: the time for one page, over all addresses. tls: the authorities that
    https trusts.
    """

    def __init__(
        self,
        resolver: NameResolver,
        rules: AddressRules,
        timeout: timedelta,
        ports: tuple[int, int] = (80, 443),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._resolver = resolver
        self._rules = rules
        self._seconds = timeout.total_seconds()
        self._schemes = tuple(zip(("http", "https"), ports, strict=True))
        self._tls = tls

    async def read(self, host: str, path: str) -> PageBody | NoPage | NoAnswer:
        """See WebPages."""
        found = await self._resolver.addresses(host)
        if isinstance(found, NoAnswer):
            return found
        if not isinstance(found, Addresses):
            return NoPage(found.detail)
        if not all(map(self._rules.may_connect, found.addresses)):
            return NoPage(f"{host} has an address that is not public, which is never connected to.")
        answers: list[NoPage | NoAnswer] = []
        for scheme, port in self._schemes:
            answer = await self._fetch(scheme, port, host, path, found.addresses[:_MOST_ADDRESSES])
            if isinstance(answer, PageBody) or (isinstance(answer, NoPage) and answer.final):
                return answer
            answers.append(answer)
        return _together(answers)

    async def _fetch(
        self, scheme: str, port: int, host: str, path: str, addresses: Sequence[IpAddress]
    ) -> PageBody | NoPage | NoAnswer:
        """Read the page from the first address that answers, or return what those say that don't."""
        until = asyncio.get_running_loop().time() + self._seconds
        pause, left = self._seconds / len(addresses), list(addresses)
        asked: set[asyncio.Task[_Heard]] = set()
        silent: list[PageBody | NoPage | NoAnswer] = []
        try:
            while left or asked:
                if left:
                    asked.add(asyncio.create_task(self._ask(scheme, port, host, path, left.pop(0), until)))
                done, asked = await asyncio.wait(
                    asked, timeout=pause if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                heard = [task.result() for task in done]
                for each in heard:
                    if each.by_host:
                        return each.answer
                silent += [each.answer for each in heard]
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return next((answer for answer in silent if isinstance(answer, NoAnswer)), silent[0])

    async def _ask(self, scheme: str, port: int, host: str, path: str, to: IpAddress, until: float) -> _Heard:
        """Read the page from one address. The host's name goes into the request, and into its TLS greeting."""
        where = f"{scheme}://{host}{path}"
        address = f"[{to}]" if isinstance(to, IPv6Address) else str(to)
        try:
            async with asyncio.timeout_at(until), self._client() as client:  # a server may send byte by byte
                request = client.build_request(
                    "GET",
                    f"{scheme}://{address}:{port}{path}",
                    headers={**_HEADERS, "host": host},
                    extensions={"sni_hostname": host},
                )
                response = await client.send(request, stream=True)
                try:
                    return _Heard(await _body(response, where), by_host=True)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            return _Heard(NoAnswer(f"{where} did not answer in time."), by_host=False)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            if _of_the_host(error):
                return _Heard(NoPage(f"{where} gave no answer of HTTP.", final=False), by_host=False)
            return _Heard(NoAnswer(f"{where} could not be reached from here."), by_host=False)

    def _client(self) -> httpx.AsyncClient:
        """Return a client for one page. It takes no proxy and no authority from the environment."""
        return httpx.AsyncClient(
            verify=self._tls or ssl.create_default_context(),
            trust_env=False,
            follow_redirects=False,
            timeout=self._seconds,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=0),
        )


def _of_the_host(error: BaseException) -> bool:
    """Return whether the host has refused, closed, or sent something else. A network that is away and a lack of sockets
    are none of its doing."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return isinstance(cause, ConnectionError | ssl.SSLError)
        cause = cause.__cause__ or cause.__context__
    return True


async def _body(response: httpx.Response, where: str) -> PageBody | NoPage | NoAnswer:
    """Return the beginning of the body. What a compression would make of it is not looked at."""
    status = response.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return NoAnswer(f"{where} answered with status {status}.")
    if status != HTTPStatus.OK:
        return NoPage(f"{where} answered with status {status}; 200 was expected.", final=not response.is_redirect)
    body = b""
    async for part in response.aiter_raw():
        body += part[:_MOST_BYTES]
        if len(body) >= _MOST_BYTES:
            break
    return PageBody(body[:_MOST_BYTES].decode("ascii", "replace"))


def _together(answers: Sequence[NoPage | NoAnswer]) -> NoPage | NoAnswer:
    """Return one answer for http and https: one that is unknown leaves everything unknown."""
    detail = " ".join(answer.detail for answer in answers)
    return NoAnswer(detail) if any(isinstance(answer, NoAnswer) for answer in answers) else NoPage(detail)
