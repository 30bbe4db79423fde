"""The wiring of set-up links: their methods, and the steps that links are for."""

from __future__ import annotations

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.chassis.lifecycle import Part
from tenantmesh.tenant.v1 import setup_link_service_pb2
from tenantmesh.tenant_svc.domain_proofs.wiring import ProofParts
from tenantmesh.tenant_svc.email_domains import wiring as email_domains
from tenantmesh.tenant_svc.login_hosts import wiring as login_hosts
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.settings import DomainSettings
from tenantmesh.tenant_svc.setup_links import tables
from tenantmesh.tenant_svc.setup_links.makers import GrpcLinkMakers
from tenantmesh.tenant_svc.setup_links.proven_names import ProvenNameStep
from tenantmesh.tenant_svc.setup_links.servicer import SetupLinkServicer
from tenantmesh.tenant_svc.setup_links.setup_link import SetupIntent
from tenantmesh.tenant_svc.setup_links.setup_links import SetupLinks
from tenantmesh.tenant_svc.setup_links.steps import SetupSteps

__all__ = ["PART", "build"]

_SERVICE = setup_link_service_pb2.DESCRIPTOR.services_by_name["SetupLinkService"]
PART = TenantPart(
    tables=(tables.setup_links,), not_exported={"setup_links": "a link works at the installation that has made it"}
)


def build(resources: TenantResources, proofs: ProofParts) -> Capability:
    """Build the capability. `proofs` are the parts of the names that links add."""
    settings, steps = resources.links, _steps(resources.domains, proofs)
    makers = GrpcLinkMakers(resources.connect_auth)
    links = SetupLinks(resources.doors, steps, makers)
    servicer = SetupLinkServicer(links, steps, settings.page, settings.lifetime)
    return Capability(
        name="setup_links", servicers={_SERVICE: servicer}, background=[Part(close=makers.close)], part=PART
    )


def _steps(settings: DomainSettings, parts: ProofParts) -> SetupSteps:
    hosts = parts.proofs(login_hosts.KIND, settings.max_login_hosts)
    domains = parts.proofs(email_domains.KIND, settings.max_email_domains)
    return {
        SetupIntent.LOGIN_HOST: ProvenNameStep(hosts, parts.messages, "login_hosts.write", by_http=True),
        SetupIntent.EMAIL_DOMAIN: ProvenNameStep(domains, parts.messages, "email_domains.write", by_http=False),
    }
