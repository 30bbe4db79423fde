"""Conversions between e-mail domains and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.moments import timestamp
from tenantmesh.tenant.v1 import email_domain_pb2
from tenantmesh.tenant_svc.domain_proofs.mapping import ProofMessages
from tenantmesh.tenant_svc.domain_proofs.names import unicode_form
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["email_domain_message"]


def email_domain_message(proof: NameProof, messages: ProofMessages, viewer: Viewer) -> email_domain_pb2.EmailDomain:
    """Return the domain with its proof. Users see no credentials of operators."""
    return email_domain_pb2.EmailDomain(
        domain=proof.name,
        unicode_domain=unicode_form(proof.name),
        proof=messages.message(proof, by_http=False),
        create_time=timestamp(proof.create_time),
        actor=viewer.note(proof.actor),
    )
