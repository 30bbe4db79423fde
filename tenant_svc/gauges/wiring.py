"""The wiring of gauges: their methods, the table of adjustments, and the loop that deletes its old keys."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.tenant.v1 import quota_service_pb2
from tenantmesh.tenant_svc.gauges import tables
from tenantmesh.tenant_svc.gauges.gauges import Gauges
from tenantmesh.tenant_svc.gauges.servicer import GaugeServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "build"]

_SERVICE = quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"]
RETENTION_INTERVAL = timedelta(minutes=10)
"""The interval at which keys of adjustments past their retention are deleted."""
PART = TenantPart(
    tables=(tables.gauge_adjustments,),
    not_exported={"gauge_adjustments": "the key of an adjustment matters only to the caller that may repeat it here"},
)


def build(resources: TenantResources) -> Capability:
    """Build the capability."""
    gauges = Gauges(resources.doors)
    return Capability(
        name="gauges",
        servicers={_SERVICE: GaugeServicer(gauges)},
        background=[Repeating("gauge-keys", gauges.forget_keys, RETENTION_INTERVAL)],
        part=PART,
    )
