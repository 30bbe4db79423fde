"""The wiring of plans: the methods that edit, publish, archive and read them."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability
from tenantmesh.tenant.v1 import plan_service_pb2
from tenantmesh.tenant_svc.plans.plans import Plans
from tenantmesh.tenant_svc.plans.servicer import PlanServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["build"]

_SERVICE = plan_service_pb2.DESCRIPTOR.services_by_name["PlanService"]


def build(resources: TenantResources) -> Capability:
    """Build the capability."""
    return Capability(name="plans", servicers={_SERVICE: PlanServicer(Plans(resources.doors))})
