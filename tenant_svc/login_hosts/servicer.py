"""LoginHostService: message in, use case, message out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenantmesh.chassis.requests import required
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.tenants import TenantRecord
from tenantmesh.tenant.v1 import login_host_service_pb2 as pb
from tenantmesh.tenant.v1.login_host_pb2 import LoginHost
from tenantmesh.tenant_svc.domain_proofs.mapping import ProofMessages
from tenantmesh.tenant_svc.domain_proofs.proof import NameProof
from tenantmesh.tenant_svc.domain_proofs.proofs import DomainProofs
from tenantmesh.tenant_svc.login_hosts.login_hosts import LoginHosts
from tenantmesh.tenant_svc.login_hosts.mapping import login_host_message
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["LoginHostServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class LoginHostServicer:
    """The methods of LoginHostService. The chain has established the caller and the tenant before any of these runs.
    `forget` is that of TenantServicer."""

    def __init__(
        self,
        proofs: DomainProofs,
        hosts: LoginHosts,
        messages: ProofMessages,
        forget: Callable[[TenantRecord], None],
    ) -> None:
        self._proofs = proofs
        self._hosts = hosts
        self._messages = messages
        self._forget = forget

    async def CreateLoginHost(self, request: pb.CreateLoginHostRequest, _context: _Context) -> LoginHost:
        """Add a host."""
        call = current_call()
        actor, names = call.caller.credential_id, [request.host]
        (added,) = await self._proofs.add(call.tenant_id, names, validate_only=request.validate_only, actor=actor)
        return self._message(added)

    async def BatchCreateLoginHosts(
        self, request: pb.BatchCreateLoginHostsRequest, _context: _Context
    ) -> pb.BatchCreateLoginHostsResponse:
        """Add hosts, all or none."""
        call = current_call()
        actor = call.caller.credential_id
        added = await self._proofs.add(
            call.tenant_id, request.hosts, many=True, validate_only=request.validate_only, actor=actor
        )
        return pb.BatchCreateLoginHostsResponse(login_hosts=map(self._message, added))

    async def GetLoginHost(self, request: pb.GetLoginHostRequest, _context: _Context) -> LoginHost:
        """Return a host."""
        return self._message(await self._proofs.get(current_call().tenant_id, request.host))

    async def ListLoginHosts(self, request: pb.ListLoginHostsRequest, _context: _Context) -> pb.ListLoginHostsResponse:
        """Return a page of the tenant's hosts."""
        page = await self._proofs.page(current_call().tenant_id, request.page_size, request.page_token)
        hosts, next_token = page.as_messages(self._message)
        return pb.ListLoginHostsResponse(login_hosts=hosts, next_page_token=next_token)

    async def VerifyLoginHost(self, request: pb.VerifyLoginHostRequest, _context: _Context) -> LoginHost:
        """Ask for a check of a host now."""
        return self._message(await self._proofs.ask(current_call().tenant_id, request.host))

    async def MakePrimaryLoginHost(self, request: pb.MakePrimaryLoginHostRequest, _context: _Context) -> LoginHost:
        """Make a host the primary one."""
        return self._message(await self._hosts.make_primary(current_call().tenant_id, request.host))

    async def DeleteLoginHost(
        self, request: pb.DeleteLoginHostRequest, _context: _Context
    ) -> pb.DeleteLoginHostResponse:
        """Remove a host."""
        call = current_call()
        await self._proofs.remove(call.tenant_id, request.host)
        self._forget(required(call.tenant))
        return pb.DeleteLoginHostResponse()

    def _message(self, proof: NameProof) -> LoginHost:
        return login_host_message(proof, self._messages, Viewer.of(current_call().caller))
