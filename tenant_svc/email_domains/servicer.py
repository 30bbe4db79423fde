"""EmailDomainService: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.interceptors import current_call
from tenantmesh.tenant.v1 import email_domain_service_pb2 as pb
from tenantmesh.tenant.v1.email_domain_pb2 import EmailDomain
from tenantmesh.tenant_svc.domain_proofs.mapping import ProofMessages
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof
from tenantmesh.tenant_svc.domain_proofs.proofs import DomainProofs
from tenantmesh.tenant_svc.email_domains.mapping import email_domain_message
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["EmailDomainServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class EmailDomainServicer:
    """The methods of EmailDomainService. The chain has established the caller and the tenant before these run."""

    def __init__(self, proofs: DomainProofs, messages: ProofMessages) -> None:
        self._proofs = proofs
        self._messages = messages

    async def CreateEmailDomain(self, request: pb.CreateEmailDomainRequest, _context: _Context) -> EmailDomain:
        """Add a domain."""
        call = current_call()
        actor, names = call.caller.credential_id, [request.domain]
        (added,) = await self._proofs.add(call.tenant_id, names, validate_only=request.validate_only, actor=actor)
        return self._message(added)

    async def BatchCreateEmailDomains(
        self, request: pb.BatchCreateEmailDomainsRequest, _context: _Context
    ) -> pb.BatchCreateEmailDomainsResponse:
        """Add domains, all or none."""
        call = current_call()
        actor = call.caller.credential_id
        added = await self._proofs.add(
            call.tenant_id, request.domains, many=True, validate_only=request.validate_only, actor=actor
        )
        return pb.BatchCreateEmailDomainsResponse(email_domains=map(self._message, added))

    async def GetEmailDomain(self, request: pb.GetEmailDomainRequest, _context: _Context) -> EmailDomain:
        """Return a domain."""
        return self._message(await self._proofs.get(current_call().tenant_id, request.domain))

    async def ListEmailDomains(
        self, request: pb.ListEmailDomainsRequest, _context: _Context
    ) -> pb.ListEmailDomainsResponse:
        """Return a page of the tenant's domains."""
        page = await self._proofs.page(current_call().tenant_id, request.page_size, request.page_token)
        domains, next_token = page.as_messages(self._message)
        return pb.ListEmailDomainsResponse(email_domains=domains, next_page_token=next_token)

    async def VerifyEmailDomain(self, request: pb.VerifyEmailDomainRequest, _context: _Context) -> EmailDomain:
        """Ask for a check of a domain now."""
        return self._message(await self._proofs.ask(current_call().tenant_id, request.domain))

    async def DeleteEmailDomain(
        self, request: pb.DeleteEmailDomainRequest, _context: _Context
    ) -> pb.DeleteEmailDomainResponse:
        """Remove a domain."""
        await self._proofs.remove(current_call().tenant_id, request.domain)
        return pb.DeleteEmailDomainResponse()

    def _message(self, proof: NameProof) -> EmailDomain:
        return email_domain_message(proof, self._messages, Viewer.of(current_call().caller))
