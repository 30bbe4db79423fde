"""PurgeService, and PurgeTenant of TenantService: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from google.longrunning.operations_pb2 import Operation as OperationMessage

from tenantmesh.chassis.requests import RequestKey, refuse, required
from tenantmesh.interceptors import current_call
from tenantmesh.interceptors.tenants import parse_tenant_id
from tenantmesh.tenant.v1 import purge_pb2, tenant_service_pb2
from tenantmesh.tenant.v1 import purge_service_pb2 as pb
from tenantmesh.tenant.v1.purge_service_pb2_grpc import PurgeServiceServicer
from tenantmesh.tenant_svc.operations.mapping import operation_message
from tenantmesh.tenant_svc.purges.mapping import PurgeMessages, key_message, purge_message
from tenantmesh.tenant_svc.purges.purge import Wanted
from tenantmesh.tenant_svc.purges.purges import PurgeRequest, Purges
from tenantmesh.tenant_svc.viewers import Viewer

__all__ = ["ProofServicer", "PurgeServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class PurgeServicer:
    """The method of TenantService that purges a tenant."""

    def __init__(self, purges: Purges) -> None:
        self._purges = purges

    async def PurgeTenant(self, request: tenant_service_pb2.PurgeTenantRequest, _context: _Context) -> OperationMessage:
        """Start to destroy a deleted tenant, or return what would go."""
        call = current_call()
        key = RequestKey.checked(call.caller, request.request_id)
        asked = PurgeRequest(call.caller.credential_id, Wanted.OPERATOR, key, request.etag)
        begin = self._purges.validate if request.validate_only else self._purges.start
        return operation_message(await begin(call.tenant_id, asked), PurgeMessages(), Viewer.of(call.caller))


class ProofServicer(PurgeServiceServicer):
    """Answers the methods of PurgeService."""

    def __init__(self, purges: Purges) -> None:
        self._purges = purges

    async def GetPurge(self, request: pb.GetPurgeRequest, _context: _Context) -> purge_pb2.Purge:
        """Return the proof of a purge."""
        tenant_id = parse_tenant_id(request.tenant_id)
        refuse({"tenant_id": "must be a tenant's UUID" if tenant_id is None else None})
        return purge_message(await self._purges.get(required(tenant_id)))

    async def ListPurges(self, request: pb.ListPurgesRequest, _context: _Context) -> pb.ListPurgesResponse:
        """Return a page of proofs."""
        page = await self._purges.page(request.page_size, request.page_token)
        purges, next_token = page.as_messages(purge_message)
        return pb.ListPurgesResponse(purges=purges, next_page_token=next_token)

    async def GetPurgeKeys(self, _request: pb.GetPurgeKeysRequest, _context: _Context) -> pb.GetPurgeKeysResponse:
        """Return the keys that verify proofs."""
        return pb.GetPurgeKeysResponse(keys=map(key_message, await self._purges.keys()))
