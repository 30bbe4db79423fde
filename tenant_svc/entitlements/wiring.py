"""The wiring of entitlements: the methods that read them, their tables, and the source of tenant_svc's own chain."""

from __future__ import annotations

from dataclasses import dataclass

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.event_log.watch import Watch
from tenantmesh.tenant.v1 import entitlement_service_pb2
from tenantmesh.tenant_svc.entitlements import tables
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries, Pooled
from tenantmesh.tenant_svc.entitlements.servicer import EntitlementServicer
from tenantmesh.tenant_svc.entitlements.source import PostgresEntitlementSource
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "build"]

_SERVICE = entitlement_service_pb2.DESCRIPTOR.services_by_name["EntitlementService"]
_TABLES = (tables.overrides, tables.plan_terms)
PART = TenantPart(tables=_TABLES, exported=_TABLES)


@dataclass(frozen=True, kw_only=True)
class EntitlementsCapability(Capability):
    """`entitlements` are the use cases; `source` supplies them to the service's own chain."""

    entitlements: EntitlementQueries
    source: PostgresEntitlementSource


def build(resources: TenantResources, pooled: Pooled, watch: Watch[EntitlementEvent]) -> EntitlementsCapability:
    """Build the capability. `pooled` reads the pool, `watch` follows changes of entitlements."""
    entitlements = EntitlementQueries(resources.doors, pooled)
    return EntitlementsCapability(
        name="entitlements",
        servicers={_SERVICE: EntitlementServicer(entitlements)},
        part=PART,
        entitlements=entitlements,
        source=PostgresEntitlementSource(entitlements, watch),
    )
