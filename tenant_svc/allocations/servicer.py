"""The methods of QuotaService about reservations: message in, use case, message out."""

from __future__ import annotations

import uuid
from typing import Any

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.caller import Caller, CallerKind
from tenantmesh.interceptors.tenants import parse_uuid
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allocations.mapping import allocation_message, amounts_of, mode_of, time_to_live_of
from tenantmesh.tenant_svc.allocations.refusals import allocation_not_found
from tenantmesh.tenant_svc.allocations.rules import checked_new, checked_used
from tenantmesh.tenant_svc.key_usage import require_meters

__all__ = ["AllocationServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class AllocationServicer:
    """The methods of QuotaService about reservations. The chain has established the caller and the tenant before any of
    these runs."""

    def __init__(self, allocations: Allocations) -> None:
        self._allocations = allocations

    async def Allocate(self, request: pb.AllocateRequest, _context: _Context) -> pb.Allocation:
        """Reserve amounts, once per request id."""
        call = current_call()
        amounts = amounts_of(request.amounts)
        new = checked_new(amounts, mode_of(request), time_to_live_of(request))
        key = RequestKey.checked(call.caller, request.request_id)
        require_meters(call.caller, new.amounts)
        return allocation_message(await self._allocations.allocate(call.tenant_id, new, key, call.caller.subject))

    async def Commit(self, request: pb.CommitRequest, _context: _Context) -> pb.Allocation:
        """Charge the units used of an allocation."""
        call, used = current_call(), checked_used(amounts_of(request.amounts))
        allocation_id = _allocation_id(request.allocation_id)
        ended = await self._allocations.commit(call.tenant_id, allocation_id, used, _holder(call.caller))
        return allocation_message(ended)

    async def Release(self, request: pb.ReleaseRequest, _context: _Context) -> pb.Allocation:
        """Return a whole allocation."""
        call, allocation_id = current_call(), _allocation_id(request.allocation_id)
        ended = await self._allocations.release(call.tenant_id, allocation_id, _holder(call.caller))
        return allocation_message(ended)


def _holder(caller: Caller) -> str | None:
    """Return the name whose allocations the caller may end; None for an operator, who may end any."""
    return None if caller.kind is CallerKind.OPERATOR else caller.subject


def _allocation_id(text: str) -> uuid.UUID:
    parsed = parse_uuid(text)
    if parsed is None:
        raise allocation_not_found()
    return parsed
