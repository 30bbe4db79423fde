"""Where a page of tenants or a stream of their events goes on, as opaque strings that callers keep and send back."""

from __future__ import annotations

import uuid

from tenantmesh.chassis.event_log.cursors import Cursors
from tenantmesh.chassis.opaque import pack, unpack

__all__ = ["CURSORS", "open_page_token", "page_token"]

CURSORS = Cursors(stream=b"tm.watch", snapshot=b"tm.snap")
_PAGE = b"tm.list"
_UUID = 16


def page_token(after: uuid.UUID) -> str:
    """The token of the page that begins after this tenant."""
    return pack(_PAGE, after.bytes)


def open_page_token(token: str) -> uuid.UUID:
    """The tenant after which the page begins. Raises ValueError for what `page_token` did not make."""
    payload = unpack(_PAGE, token)
    if len(payload) != _UUID:
        raise ValueError("made for something else")
    return uuid.UUID(bytes=payload)
