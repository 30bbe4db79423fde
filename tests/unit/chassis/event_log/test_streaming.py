"""A followed log as messages: what comes before the first one is a status, what comes later a message."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tenantmesh.chassis.event_log.streaming import start_of, streamed
from tenantmesh.chassis.event_log.watch import Change, Earliest, FromCursor, FromNow, Snapshot, Start
from tenantmesh.interceptors.errors import Aborted, MeshError
from tenantmesh.tenant.v1 import entitlement_service_pb2, tenant_service_pb2
from tenantmesh.tenant_svc.tenants.events import TenantEvent

CUT = Aborted("WATCH_TOO_SLOW", "Resume.")


class Source:
    """Changes until an error; knows whether it was closed."""

    def __init__(self, *cursors: str, error: Exception | None = None) -> None:
        self._cursors = cursors
        self._error = error
        self.closed = False

    async def changes(self) -> AsyncGenerator[Change[TenantEvent], None]:
        try:
            for cursor in self._cursors:
                yield Change(cursor, None)
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


def told(change: Change[TenantEvent]) -> str:
    return f"told {change.cursor}"


def failed(error: MeshError, cursor: str) -> str:
    return f"{error.reason} after {cursor}"


async def test_an_error_after_a_message_is_the_last_message_with_its_cursor() -> None:
    source = Source("1", "2", error=CUT)
    messages = [message async for message in streamed(source.changes(), told, failed)]
    assert messages == ["told 1", "told 2", "WATCH_TOO_SLOW after 2"]
    assert source.closed


async def test_an_error_before_any_message_is_raised() -> None:
    with pytest.raises(Aborted):
        await anext(streamed(Source(error=CUT).changes(), told, failed))


async def test_a_reader_that_leaves_closes_what_it_read() -> None:
    source = Source("1", "2")
    async with aclosing(streamed(source.changes(), told, failed)) as messages:
        assert await anext(messages) == "told 1"
    assert source.closed


@pytest.mark.parametrize(
    "request_of", [tenant_service_pb2.WatchTenantsRequest, entitlement_service_pb2.WatchEntitlementsRequest]
)
@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({}, FromNow()),
        ({"cursor": "x"}, FromCursor("x")),
        ({"cursor": ""}, FromCursor("")),
        ({"snapshot": True}, Snapshot()),
        ({"snapshot": False}, FromNow()),
        ({"earliest": True}, Earliest()),
        ({"earliest": False}, FromNow()),
    ],
)
def test_a_start_that_is_chosen_but_false_means_none(request_of: type, fields: dict[str, object], start: Start) -> None:
    request = request_of(**fields)
    assert start_of(request, request.WhichOneof("start")) == start
