"""The methods of QuotaService about leases: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.mapping import asks_of, lease_message, period_start_of
from tenantmesh.tenant_svc.allowances.rules import checked_asks, checked_return

__all__ = ["AllowanceServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class AllowanceServicer:
    """The methods of QuotaService about leases. The chain has established the caller and the tenant before any of these
    runs."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def Lease(self, request: pb.LeaseRequest, _context: _Context) -> pb.LeaseResponse:
        """Take units for a process that charges calls itself."""
        asks = checked_asks(asks_of(request))
        return lease_message(await self._ledger.lease(current_call().tenant_id, asks))

    async def Return(self, request: pb.ReturnRequest, _context: _Context) -> pb.ReturnResponse:
        """Take units back."""
        period = checked_return(request.meter, request.amount, period_start_of(request))
        await self._ledger.give_back(current_call().tenant_id, request.meter, request.amount, period)
        return pb.ReturnResponse()
