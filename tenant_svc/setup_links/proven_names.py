"""The steps that add a login host or an e-mail domain, in the transaction that redeems the link."""

from __future__ import annotations

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.domain_proofs.mapping import ProofMessages
from tenantmesh.tenant_svc.domain_proofs.proofs import DomainProofs
from tenantmesh.tenant_svc.setup_links.steps import SetupStep, StepResult

__all__ = ["ProvenNameStep"]


class ProvenNameStep(SetupStep):
    """Adds a name of one kind, with the instructions for its proof.

    permission: see SetupStep. by_http: whether a page proves the name too.
    """

    def __init__(self, proofs: DomainProofs, messages: ProofMessages, permission: str, *, by_http: bool) -> None:
        self._proofs = proofs
        self._messages = messages
        self._permission = permission
        self._by_http = by_http

    @property
    def permission(self) -> str:
        """See SetupStep."""
        return self._permission

    async def run(self, connection: Connection, tenant_id: TenantId, name: str, actor: str) -> StepResult:
        """See SetupStep."""
        added = await self._proofs.add_in(connection, tenant_id, name, actor, field="name")
        proof = self._messages.message(added, by_http=self._by_http)
        return StepResult(added.name, proof.dns_name, proof.dns_value, proof.http_url)
