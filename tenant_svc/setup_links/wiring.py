"""The wiring of set-up links: their methods, and the steps that links are for."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.tenant.v1 import setup_link_service_pb2
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.setup_links import tables
from tenantmesh.tenant_svc.setup_links.servicer import SetupLinkServicer
from tenantmesh.tenant_svc.setup_links.setup_links import SetupLinks
from tenantmesh.tenant_svc.setup_links.steps import SetupSteps

__all__ = ["PART", "build"]

_SERVICE = setup_link_service_pb2.DESCRIPTOR.services_by_name["SetupLinkService"]
PART = TenantPart(
    tables=(tables.setup_links,), not_exported={"setup_links": "a link works at the installation that has made it"}
)


def build(resources: TenantResources, steps: SetupSteps) -> Capability:
    """Build the capability. `steps` do what links are for."""
    settings = resources.links
    links = SetupLinks(resources.doors, steps)
    servicer = SetupLinkServicer(links, steps, settings.page, settings.lifetime)
    return Capability(name="setup_links", servicers={_SERVICE: servicer}, part=PART)
