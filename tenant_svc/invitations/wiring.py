"""The wiring of invitation requests: their list and their number."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.capability import Capability, TenantPart
from tenantmesh.tenant.v1 import invitation_request_service_pb2
from tenantmesh.tenant_svc.invitations import tables
from tenantmesh.tenant_svc.invitations.invitations import InvitationRequests
from tenantmesh.tenant_svc.invitations.servicer import InvitationRequestServicer
from tenantmesh.tenant_svc.resources import TenantResources

__all__ = ["PART", "build"]

COUNT_INTERVAL = timedelta(seconds=30)
_SERVICE = invitation_request_service_pb2.DESCRIPTOR.services_by_name["InvitationRequestService"]
PART = TenantPart(tables=(tables.invitation_requests,), exported=(tables.invitation_requests,))


@dataclass(frozen=True, kw_only=True)
class InvitationsCapability(Capability):
    """`requests` knows how many wait."""

    requests: InvitationRequests


def build(resources: TenantResources) -> InvitationsCapability:
    """Build the capability."""
    requests = InvitationRequests(resources.doors)
    return InvitationsCapability(
        name="invitations",
        servicers={_SERVICE: InvitationRequestServicer(requests)},
        background=[Repeating("invitation-count", requests.count, COUNT_INTERVAL)],
        part=PART,
        requests=requests,
    )
