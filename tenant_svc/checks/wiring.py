"""The wiring of checks: the methods that check and explain entitlements."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability
from tenantmesh.tenant.v1 import entitlement_service_pb2
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.checks.servicer import CheckServicer
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["build"]

_SERVICE = entitlement_service_pb2.DESCRIPTOR.services_by_name["EntitlementService"]


def build(resources: TenantResources, entitlements: EntitlementQueries) -> Capability:
    """Build the capability."""
    return Capability(name="checks", servicers={_SERVICE: CheckServicer(Checks(resources.doors, entitlements))})
