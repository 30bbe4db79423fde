"""Conversions between login hosts and the messages of the contract. No decisions are made here."""

from __future__ import annotations

from tenantmesh.chassis.moments import timestamp
from tenantmesh.tenant.v1 import login_host_pb2
from tenantmesh.tenant_svc.domain_proofs.mapping import ProofMessages
from tenantmesh.tenant_svc.domain_proofs.names import unicode_form
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["login_host_message"]


def login_host_message(proof: NameProof, messages: ProofMessages, viewer: Viewer) -> login_host_pb2.LoginHost:
    """Return the host with its proof. Users see no credentials of operators."""
    return login_host_pb2.LoginHost(
        host=proof.name,
        unicode_host=unicode_form(proof.name),
        primary=proof.primary,
        proof=messages.message(proof, by_http=True),
        create_time=timestamp(proof.create_time),
        actor=viewer.note(proof.actor),
    )
