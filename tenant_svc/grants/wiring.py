"""The wiring of grants: the methods that create, list and void them."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import entitlement_service_pb2
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.grants.servicer import GrantServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["build"]

_SERVICE = entitlement_service_pb2.DESCRIPTOR.services_by_name["EntitlementService"]


def build(resources: TenantResources) -> Capability:
    """Build the capability."""
    return Capability(name="grants", servicers={_SERVICE: GrantServicer(Grants(resources.doors, uuid7))})
