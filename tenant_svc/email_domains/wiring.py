"""The wiring of e-mail domains: their methods, and the jobs that check them."""

from __future__ import annotations

from functools import partial

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.tenant.v1 import email_domain_service_pb2
from tenantmesh.tenant_svc.domain_proofs.kind import NameKind, unpublished
from tenantmesh.tenant_svc.domain_proofs.providers import provider_problem
from tenantmesh.tenant_svc.domain_proofs.release import NameRelease
from tenantmesh.tenant_svc.domain_proofs.rows import ProofRows
from tenantmesh.tenant_svc.domain_proofs.wiring import ProofParts, check_metrics
from tenantmesh.tenant_svc.email_domains.jobs import CHECK_EMAIL_DOMAIN, schedule_check
from tenantmesh.tenant_svc.email_domains.refusals import email_domain_not_found, email_domains_full
from tenantmesh.tenant_svc.email_domains.servicer import EmailDomainServicer
from tenantmesh.tenant_svc.email_domains.tables import email_domains
from tenantmesh.tenant_svc.tenants.events import EventType

__all__ = ["KIND", "PART", "build"]

_SERVICE = email_domain_service_pb2.DESCRIPTOR.services_by_name["EmailDomainService"]
KIND = NameKind(
    noun="e-mail domain",
    field="domain",
    path="email-domains",
    event=EventType.EMAIL_DOMAIN_CHANGED,
    problem=provider_problem,
    by_http=False,
    rows=ProofRows(email_domains, "domain"),
    schedule=schedule_check,
    publish=unpublished,
    not_found=email_domain_not_found,
    full=email_domains_full,
)
_RELEASE = NameRelease(KIND)
PART = TenantPart(
    tables=(email_domains,), exported=(email_domains,), deleted=_RELEASE.deleted, undeleted=_RELEASE.undeleted
)


def build(parts: ProofParts) -> Capability:
    """Build the capability."""
    proofs, checks = parts.proofs(KIND, parts.resources.domains.max_email_domains), parts.check_handler(KIND)
    return Capability(
        name="email_domains",
        servicers={_SERVICE: EmailDomainServicer(proofs, parts.messages)},
        jobs={CHECK_EMAIL_DOMAIN: checks},
        metrics=[partial(check_metrics, KIND, checks)],
        part=PART,
    )
