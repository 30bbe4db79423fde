"""The wiring of long-running operations: get, list, wait and cancel, for operations of every type."""

from __future__ import annotations

from collections.abc import Mapping

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.lifecycle import Entered
from tenantmesh.tenant.v1 import operation_service_pb2
from tenantmesh.tenant_svc.operations import tables
from tenantmesh.tenant_svc.operations.endings import Endings
from tenantmesh.tenant_svc.operations.mapping import OperationMessages
from tenantmesh.tenant_svc.operations.operations import Operations
from tenantmesh.tenant_svc.operations.repository import OPERATIONS_CHANNEL
from tenantmesh.tenant_svc.operations.servicer import OperationServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "build"]

_SERVICE = operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"]
PART = TenantPart(
    tables=(tables.operations,), not_exported={"operations": "an operation is work of this mesh, under way or done"}
)


def build(resources: TenantResources, types: Mapping[str, OperationMessages]) -> Capability:
    """Build the capability. `types` makes the messages of each type of operation."""
    endings = Endings()
    operations = Operations(resources.doors, endings)
    return Capability(
        name="operations",
        servicers={_SERVICE: OperationServicer(operations, types)},
        background=[Entered(lambda: resources.database.listen(OPERATIONS_CHANNEL, endings.wake))],
        part=PART,
    )
