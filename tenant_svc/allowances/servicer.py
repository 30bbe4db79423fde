"""QuotaService over gRPC: message in, use case, message out."""

from __future__ import annotations

import uuid
from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.tenants import parse_tenant_id
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceServicer
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allowances import mapping, rules
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.refusals import allocation_not_found
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.tenants.tenant import RequestKey

__all__ = ["QuotaServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class QuotaServicer(QuotaServiceServicer):
    """The chain has established who calls and for which tenant before any of these runs."""

    def __init__(self, ledger: Ledger, allocations: Allocations, gauges: Gauges) -> None:
        self._ledger = ledger
        self._allocations = allocations
        self._gauges = gauges

    async def Lease(self, request: pb.LeaseRequest, _context: _Context) -> pb.LeaseResponse:
        """Takes units for a process that charges calls itself."""
        asks = rules.checked_asks(mapping.asks_of(request))
        return mapping.lease_message(await self._ledger.lease(current_call().tenant_id, asks))

    async def Return(self, request: pb.ReturnRequest, _context: _Context) -> pb.ReturnResponse:
        """Takes units back."""
        period = rules.checked_return(request.meter, request.amount, mapping.period_start_of(request))
        await self._ledger.give_back(current_call().tenant_id, request.meter, request.amount, period)
        return pb.ReturnResponse()

    async def Allocate(self, request: pb.AllocateRequest, _context: _Context) -> pb.Allocation:
        """Reserves amounts, once per request id."""
        call = current_call()
        amounts = mapping.amounts_of(request.amounts)
        new = rules.checked_new(amounts, mapping.mode_of(request), mapping.time_to_live_of(request))
        key = RequestKey.checked(call.caller.credential_id, request.request_id)
        return mapping.allocation_message(await self._allocations.allocate(call.tenant_id, new, key))

    async def Commit(self, request: pb.CommitRequest, _context: _Context) -> pb.Allocation:
        """Charges what was used of an allocation."""
        used = rules.checked_used(mapping.amounts_of(request.amounts))
        id_ = _allocation_id(request.allocation_id)
        return mapping.allocation_message(await self._allocations.commit(current_call().tenant_id, id_, used))

    async def Release(self, request: pb.ReleaseRequest, _context: _Context) -> pb.Allocation:
        """Returns a whole allocation."""
        id_ = _allocation_id(request.allocation_id)
        return mapping.allocation_message(await self._allocations.release(current_call().tenant_id, id_))

    async def AdjustGauge(self, request: pb.AdjustGaugeRequest, _context: _Context) -> pb.Gauge:
        """Raises or lowers a level, once per key."""
        call = current_call()
        # By name: keys are kept for days, and the caller's credential may be another by then.
        adjustment = rules.checked_adjustment(request.gauge, request.delta, request.key, call.caller.subject)
        made = await self._gauges.adjust(call.tenant_id, adjustment, call.caller.credential_id)
        return mapping.gauge_message(made)

    async def ReportGauge(self, request: pb.ReportGaugeRequest, _context: _Context) -> pb.Gauge:
        """Learns a level from the service that keeps it."""
        call = current_call()
        report = rules.checked_report(request.gauge, request.level, request.version)
        return mapping.gauge_message(await self._gauges.report(call.tenant_id, report, call.caller.credential_id))


def _allocation_id(text: str) -> uuid.UUID:
    parsed = parse_tenant_id(text)  # the same canonical, non-nil form
    if parsed is None:
        raise allocation_not_found()
    return parsed
