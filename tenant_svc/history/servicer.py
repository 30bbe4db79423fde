"""The methods of EntitlementService about its log: message in, use case, message out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from tenantmesh.chassis.event_log.streaming import start_of, streamed
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import entitlement_service_pb2 as pb
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.history.mapping import change_message, error_message, event_message
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["HistoryServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class HistoryServicer:
    """The methods of EntitlementService about its log. The chain has established the caller and the tenant before any
    of these runs."""

    def __init__(self, history: History, watch: Watch[EntitlementEvent]) -> None:
        self._history = history
        self._watch = watch

    async def ListEntitlementChanges(
        self, request: pb.ListEntitlementChangesRequest, _context: _Context
    ) -> pb.ListEntitlementChangesResponse:
        """Return a page of the history."""
        call = current_call()
        viewer = Viewer.of(call.caller)
        page = await self._history.page(
            call.tenant_id, request.page_size, request.page_token, every_plan=viewer.every_plan
        )
        changes, next_token = page.as_messages(partial(change_message, viewer=viewer))
        return pb.ListEntitlementChangesResponse(changes=changes, next_page_token=next_token)

    async def WatchEntitlements(
        self, request: pb.WatchEntitlementsRequest, _context: _Context
    ) -> AsyncIterator[pb.WatchEntitlementsResponse]:
        """Stream the changes of entitlements."""
        changes = self._watch.follow(start_of(request, request.WhichOneof("start")))
        message_of = partial(event_message, viewer=Viewer.of(current_call().caller))
        async with aclosing(streamed(changes, message_of, error_message)) as messages:
            async for message in messages:
                yield message
