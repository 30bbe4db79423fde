"""InvitationRequestService: message in, use case, message out."""

from __future__ import annotations

from typing import Any

from tenantmesh.chassis.moments import timestamp
from tenantmesh.tenant.v1 import invitation_request_pb2
from tenantmesh.tenant.v1 import invitation_request_service_pb2 as pb
from tenantmesh.tenant.v1.invitation_request_service_pb2_grpc import InvitationRequestServiceServicer
from tenantmesh.tenant_svc.invitations.invitations import InvitationRequests
from tenantmesh.tenant_svc.invitations.repository import InvitationRequest

__all__ = ["InvitationRequestServicer"]

_Context = Any  # handlers take what the call needs from current_call()


class InvitationRequestServicer(InvitationRequestServiceServicer):
    """The methods of InvitationRequestService."""

    def __init__(self, requests: InvitationRequests) -> None:
        self._requests = requests

    async def ListInvitationRequests(
        self, request: pb.ListInvitationRequestsRequest, _context: _Context
    ) -> pb.ListInvitationRequestsResponse:
        """Return a page of the requests that wait."""
        page = await self._requests.page(request.page_size, request.page_token)
        requests, next_token = page.as_messages(_message)
        return pb.ListInvitationRequestsResponse(invitation_requests=requests, next_page_token=next_token)


def _message(request: InvitationRequest) -> invitation_request_pb2.InvitationRequest:
    return invitation_request_pb2.InvitationRequest(
        invitation_request_id=str(request.id),
        tenant_id=str(request.tenant_id),
        email=request.email,
        role=request.role,
        actor=request.actor,
        create_time=timestamp(request.create_time),
    )
