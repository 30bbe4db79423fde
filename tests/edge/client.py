"""A REST caller that can also send what well-behaved clients can't: any header, twice, in any bytes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 10
Headers = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Rest:
    """Calls one edge over HTTP/1.1. Blocking: run it in a thread."""

    port: int

    @contextmanager
    def open(
        self, method: str, path: str, headers: Headers = (), body: bytes | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Yields the answer while it arrives."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.putrequest(
                method, path, skip_host=any(n.lower() == "host" for n, _ in headers), skip_accept_encoding=True
            )
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            with response:
                yield response
        finally:
            connection.close()

    def call(self, method: str, path: str, headers: Headers = (), body: bytes | None = None) -> Answer:
        """Returns the whole answer."""
        with self.open(method, path, list(headers), body) as response:
            lowered = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, lowered, response.read())

    def get(self, path: str, headers: Headers = ()) -> Answer:
        return self.call("GET", path, headers)

    def post(self, path: str, value: Any, headers: Headers = ()) -> Answer:
        return self.call("POST", path, [("content-type", "application/json"), *headers], json.dumps(value).encode())
