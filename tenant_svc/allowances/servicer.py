"""The methods of QuotaService about leases: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant_svc.allowances.holder import LeaseHolder
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.mapping import asks_of, lease_message, period_start_of
from tenantmesh.tenant_svc.allowances.rules import checked_accounts, checked_asks, checked_return
from tenantmesh.tenant_svc.key_usage import require_meters

__all__ = ["AllowanceServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class AllowanceServicer:
    """The methods of QuotaService about leases. The chain has established the caller and the tenant before any of these
    runs."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def Lease(self, request: pb.LeaseRequest, _context: _Context) -> pb.LeaseResponse:
        """Take units for a process that charges calls itself."""
        call, asks = current_call(), checked_asks(asks_of(request))
        holder = LeaseHolder(call.caller.subject, checked_accounts("account", [request.account]))
        require_meters(call.caller, [ask.meter for ask in asks])
        return lease_message(await self._ledger.lease(call.tenant_id, asks, holder))

    async def Return(self, request: pb.ReturnRequest, _context: _Context) -> pb.ReturnResponse:
        """Take units back."""
        call, period = current_call(), checked_return(request.meter, request.amount, period_start_of(request))
        holder = LeaseHolder(call.caller.subject, checked_accounts("accounts", request.accounts))
        require_meters(call.caller, [request.meter])
        back = await self._ledger.give_back(call.tenant_id, request.meter, request.amount, period, holder)
        return pb.ReturnResponse(returned=back)
