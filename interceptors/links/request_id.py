"""Link 1: every call has a request id, the caller's or a new one."""

from __future__ import annotations

import itertools
import re
import secrets

from tenantmesh.interceptors.call import Call
from tenantmesh.interceptors.link import Link, Pending
from tenantmesh.interceptors.metadata import REQUEST_ID, TRACEPARENT

__all__ = ["RequestId"]

_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}", re.ASCII).fullmatch
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII).fullmatch


class RequestId(Link):
    """Accepts `x-request-id` when it is harmless and mints one otherwise. A minted one is told in the trailing
    metadata; every refusal tells the id in any case.

    A minted id is a random prefix of the process and a counter: unique like a UUID and ten times cheaper. `traceparent`
    (W3C Trace Context) is taken along when it is well-formed.
    """

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._next = itertools.count(1).__next__

    def enter(self, call: Call) -> Pending:
        """Finds or mints the id. First of all links, so it trusts nothing that it reads."""
        headers = call.headers = dict(call.metadata)  # type: ignore[arg-type]  # keys that end in -bin hold bytes
        given = headers.get(REQUEST_ID)
        if given and _ACCEPTED(given):
            call.request_id = given
        else:
            call.request_id = f"{self._prefix}-{self._next():x}"
            call.context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
        trace = headers.get(TRACEPARENT)
        if trace and _TRACEPARENT(trace):
            call.traceparent = trace
        return None
