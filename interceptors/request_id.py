"""Link 1: every call has a request id, its own or the caller's, and every answer says it."""

from __future__ import annotations

import itertools
import re
import secrets

from interceptors.call import Call
from interceptors.link import Link, Pending
from interceptors.metadata import REQUEST_ID, TRACEPARENT

_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}", re.ASCII).fullmatch
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII).fullmatch


class RequestId(Link):
    """Accepts `x-request-id` when it is harmless, mints one otherwise, and echoes it in the trailing metadata.

    A minted id is a random prefix of the process and a counter: unique like a UUID and ten times cheaper. `traceparent`
    (W3C Trace Context) is taken along when it is well-formed.
    """

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._next = itertools.count(1).__next__

    def enter(self, call: Call) -> Pending:
        """Finds or mints the id. First of all links, so it looks for itself and trusts nothing."""
        request_id = ""
        for key, value in call.metadata:
            if key == REQUEST_ID and isinstance(value, str) and _ACCEPTED(value):
                request_id = value
            elif key == TRACEPARENT and isinstance(value, str) and _TRACEPARENT(value):
                call.traceparent = value
        call.request_id = request_id or f"{self._prefix}-{self._next():x}"
        call.context.set_trailing_metadata(((REQUEST_ID, call.request_id),))
        return None
