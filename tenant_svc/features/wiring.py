"""The wiring of features: the methods that manage the catalog of features."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tenantmesh.chassis.capability import Capability
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant.v1 import plan_service_pb2
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.features.servicer import FeatureServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["build"]

_SERVICE = plan_service_pb2.DESCRIPTOR.services_by_name["PlanService"]


def build(resources: TenantResources, plan_ids: Callable[[Connection], Awaitable[set[str]]]) -> Capability:
    """Build the capability. `plan_ids` reads the ids of all plans, which rollouts of features name."""
    return Capability(name="features", servicers={_SERVICE: FeatureServicer(Features(resources.doors, plan_ids))})
