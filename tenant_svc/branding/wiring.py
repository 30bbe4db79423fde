"""The wiring of brandings: what anybody is shown before sign-in, and the methods that change it."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.interceptors.tenants import TenantLookup
from tenantmesh.tenant.v1 import branding_service_pb2
from tenantmesh.tenant_svc.branding import tables
from tenantmesh.tenant_svc.branding.brandings import Brandings
from tenantmesh.tenant_svc.branding.names import HostNames
from tenantmesh.tenant_svc.branding.servicer import BrandingServicer
from tenantmesh.tenant_svc.branding.shown import ShownBrandings
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "build"]

_SERVICE = branding_service_pb2.DESCRIPTOR.services_by_name["BrandingService"]
PART = TenantPart(tables=(tables.brandings,), exported=(tables.brandings,))


def build(resources: TenantResources, directory: TenantLookup) -> Capability:
    """Build the capability. `directory` finds tenants by what a call names."""
    settings = resources.branding
    shown = ShownBrandings(directory, resources.doors, settings.answer_time)
    servicer = BrandingServicer(Brandings(resources.doors), shown, HostNames(resources.base_domain), settings.max_age)
    return Capability(name="branding", servicers={_SERVICE: servicer}, part=PART)
