"""The wiring of a tenant's data as a whole. It stands above every capability that has a part of a tenant."""

from __future__ import annotations

from collections.abc import Sequence

from tenantmesh.auth.v1 import tenant_data_service_pb2
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.auth_svc.schema import OUTAGE, SCHEMA, metadata
from tenantmesh.auth_svc.tenant_data.servicer import TenantDataServicer
from tenantmesh.auth_svc.tenant_data.tables import purged_tenants
from tenantmesh.auth_svc.tenant_data.tenant_data import TenantData
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.erasure import ErasureDoor
from tenantmesh.chassis.tenant_rows import TenantRows

__all__ = ["build"]

_SERVICE = tenant_data_service_pb2.DESCRIPTOR.services_by_name["TenantDataService"]


def build(resources: AuthResources, parts: Sequence[TenantPart]) -> Capability:
    """Build the capability. `parts` are those of every capability of the service."""
    settings = resources.settings
    url = settings.purge.database_url
    door = None if url is None else ErasureDoor(url, settings.database, metadata, OUTAGE)
    data = TenantData(
        resources.doors,
        None if door is None else door.doors,
        resources.tenant_source,
        TenantRows(parts, SCHEMA, (purged_tenants.name,)),
        settings.sessions.idle,
    )
    return Capability(
        name="tenant_data",
        servicers={_SERVICE: TenantDataServicer(data)},
        background=[] if door is None else [door],
    )
