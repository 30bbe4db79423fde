"""The wiring of batches and imports: their methods, and the job that imports."""

from __future__ import annotations

from datetime import timedelta

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.capability import Capability
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2
from tenantmesh.tenant_svc.bulk.changes import TenantChanges
from tenantmesh.tenant_svc.bulk.creations import TenantCreations
from tenantmesh.tenant_svc.bulk.import_executor import ImportExecutor
from tenantmesh.tenant_svc.bulk.imports import IMPORT_JOB, TenantImports
from tenantmesh.tenant_svc.bulk.jobs import ImportJobs
from tenantmesh.tenant_svc.bulk.mapping import ImportMessages
from tenantmesh.tenant_svc.bulk.requests import BatchMemory
from tenantmesh.tenant_svc.bulk.retention import BulkRetention
from tenantmesh.tenant_svc.bulk.servicer import TenantBulkServicer
from tenantmesh.tenant_svc.bulk.tables import IMPORT
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.tenants.wiring import TenantsCapability

__all__ = ["OPERATIONS", "build"]

_INTERVAL = timedelta(minutes=10)
"""The interval at which rows past their retention are deleted."""
_SERVICE = tenant_bulk_service_pb2.DESCRIPTOR.services_by_name["TenantBulkService"]
OPERATIONS = {IMPORT: ImportMessages()}
"""The messages of its type of operation, for the capability `operations`."""


def build(resources: TenantResources, single: TenantsCapability) -> Capability:
    """Build the capability. `single` has the use cases of one tenant."""
    memory = BatchMemory(resources.doors)
    creations = TenantCreations(resources.doors, single.tenants, memory, uuid7)
    servicer = TenantBulkServicer(
        creations,
        TenantChanges(resources.doors, memory),
        TenantImports(resources.doors, uuid7),
        tenants=single.tenants,
        updates=single.updates,
        deletions=single.deletions,
        forget=single.directory.forget,
    )
    executor = ImportExecutor(resources.doors, creations, single.updates)
    retention = BulkRetention(resources.doors)
    return Capability(
        name="bulk",
        servicers={_SERVICE: servicer},
        background=[
            Repeating("batch-retention", retention.forget_requests, _INTERVAL),
            Repeating("import-retention", retention.forget_imports, _INTERVAL),
        ],
        jobs={IMPORT_JOB: ImportJobs(executor)},
    )
