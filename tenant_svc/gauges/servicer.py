"""The methods of QuotaService about levels: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.gauges.mapping import gauge_message
from tenantmesh.tenant_svc.gauges.rules import checked_adjustment, checked_report
from tenantmesh.tenant_svc.key_usage import require_gauge

__all__ = ["GaugeServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class GaugeServicer:
    """The methods of QuotaService about levels. The chain has established the caller and the tenant before any of these
    runs."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    async def AdjustGauge(self, request: pb.AdjustGaugeRequest, _context: _Context) -> pb.Gauge:
        """Raise or lower a level, once per key."""
        call = current_call()
        # The subject, not the credential: keys are kept for days, and credentials change meanwhile.
        adjustment = checked_adjustment(request.gauge, request.delta, request.key, call.caller)
        require_gauge(call.caller, adjustment.gauge)
        made = await self._gauges.adjust(call.tenant_id, adjustment, call.caller.credential_id)
        return gauge_message(made)

    async def ReportGauge(self, request: pb.ReportGaugeRequest, _context: _Context) -> pb.Gauge:
        """Store a level that the service that keeps it reports."""
        call = current_call()
        report = checked_report(request.gauge, request.level, request.version, call.caller)
        require_gauge(call.caller, report.gauge)
        return gauge_message(await self._gauges.report(call.tenant_id, report, call.caller.credential_id))
