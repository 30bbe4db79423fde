"""The wiring of proofs: the tenants' tokens, and the parts from which login hosts and e-mail domains are built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.domain_proofs import tables
from tenantmesh.tenant_svc.domain_proofs.addresses import AddressRules
from tenantmesh.tenant_svc.domain_proofs.checks import ProofChecks
from tenantmesh.tenant_svc.domain_proofs.dns_resolver import DnsResolver
from tenantmesh.tenant_svc.domain_proofs.evidence import Evidence
from tenantmesh.tenant_svc.domain_proofs.kind import NameKind
from tenantmesh.tenant_svc.domain_proofs.mapping import ProofMessages
from tenantmesh.tenant_svc.domain_proofs.names import NameRules
from tenantmesh.tenant_svc.domain_proofs.proof import ProofReason, ProofTerms
from tenantmesh.tenant_svc.domain_proofs.proofs import DomainProofs
from tenantmesh.tenant_svc.domain_proofs.web_pages import HttpPages
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "ProofParts", "build", "check_metrics"]

PART = TenantPart(
    tables=(tables.domain_tokens,),
    not_exported={"domain_tokens": "a token proves names to this installation, and another one makes its own"},
)


@dataclass(frozen=True, kw_only=True)
class ProofParts(Capability):
    """The parts that both kinds of names are made of."""

    resources: TenantResources
    messages: ProofMessages
    evidence: Evidence

    def proofs(self, kind: NameKind, limit: int) -> DomainProofs:
        """Return the use cases of a kind, of which a tenant may have so many names."""
        settings = self.resources.domains
        rules = NameRules(
            base_domain=self.resources.base_domain, label=settings.label, allow_reserved=settings.allow_reserved
        )
        return DomainProofs(self.resources.doors, kind, rules, limit, settings.verify_pause, uuid7)

    def check_handler(self, kind: NameKind) -> ProofChecks:
        """Return the handler of a kind's checks."""
        at_once = self.resources.domains.checks_at_once
        return ProofChecks(self.resources.doors, kind, self.evidence, self.messages.terms, at_once)


def build(resources: TenantResources) -> ProofParts:
    """Build the capability."""
    settings = resources.domains
    resolver = DnsResolver(settings.resolver_addresses, settings.timeout)
    ports = (settings.http_port, settings.https_port)
    pages = HttpPages(resolver, AddressRules(settings.allowed_networks), settings.timeout, ports)
    return ProofParts(
        name="domain_proofs",
        part=PART,
        resources=resources,
        messages=ProofMessages(settings.label, ProofTerms(interval=settings.check_interval, grace=settings.grace)),
        evidence=Evidence(resolver, pages, settings.label),
    )


def check_metrics(kind: NameKind, checks: ProofChecks) -> Iterable[Metric]:
    """Return how many checks of the kind this process has made, by what they found."""
    counted = CounterMetricFamily(
        f"tenantmesh_{kind.path.replace('-', '_').removesuffix('s')}_checks",
        f"Checks of proofs of {kind.noun}s, by what they found.",
        labels=["result"],
    )
    for reason in ProofReason:
        if checks.results[reason]:
            counted.add_metric([reason.value.lower()], checks.results[reason])
    return [counted]
