"""The wiring of overrides: the methods that set, clear and list them."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability
from tenantmesh.tenant.v1 import entitlement_service_pb2
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.overrides.servicer import OverrideServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["build"]

_SERVICE = entitlement_service_pb2.DESCRIPTOR.services_by_name["EntitlementService"]


def build(resources: TenantResources) -> Capability:
    """Build the capability."""
    return Capability(name="overrides", servicers={_SERVICE: OverrideServicer(Overrides(resources.doors))})
