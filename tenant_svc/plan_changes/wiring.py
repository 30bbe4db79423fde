"""The wiring of plan changes: the method that starts one, and the job that carries it out."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import tenant_service_pb2
from tenantmesh.tenant_svc.entitlements.entitlements import Pooled
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.plan_changes.jobs import PlanChangeJobs
from tenantmesh.tenant_svc.plan_changes.mapping import PlanChangeMessages
from tenantmesh.tenant_svc.plan_changes.plan_change import PLAN_CHANGE
from tenantmesh.tenant_svc.plan_changes.plan_changes import PLAN_CHANGE_JOB, PlanChanges
from tenantmesh.tenant_svc.plan_changes.servicer import PlanChangeServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["OPERATIONS", "build"]

_SERVICE = tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]
OPERATIONS = {PLAN_CHANGE: PlanChangeMessages()}
"""The messages of its type of operation, for the capability `operations`."""


def build(resources: TenantResources, pooled: Pooled) -> Capability:
    """Build the capability. `pooled` reads the pool."""
    return Capability(
        name="plan_changes",
        servicers={_SERVICE: PlanChangeServicer(PlanChanges(resources.doors, uuid7, pooled))},
        jobs={PLAN_CHANGE_JOB: PlanChangeJobs(PlanChangeExecutor(resources.doors, pooled))},
    )
