"""Puts tenant_svc together from its capabilities."""

from __future__ import annotations

from google.protobuf.descriptor import ServiceDescriptor

from tenantmesh.chassis.chain import auth_channel, make_ports
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.service import AddToServer, Connections, assemble
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant.v1 import (
    branding_service_pb2,
    email_domain_service_pb2,
    entitlement_service_pb2,
    invitation_request_service_pb2,
    login_host_service_pb2,
    operation_service_pb2,
    plan_service_pb2,
    purge_service_pb2,
    quota_service_pb2,
    setup_link_service_pb2,
    tenant_bulk_service_pb2,
    tenant_service_pb2,
)
from tenantmesh.tenant.v1.branding_service_pb2_grpc import add_BrandingServiceServicer_to_server
from tenantmesh.tenant.v1.email_domain_service_pb2_grpc import add_EmailDomainServiceServicer_to_server
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import add_EntitlementServiceServicer_to_server
from tenantmesh.tenant.v1.invitation_request_service_pb2_grpc import (
    add_InvitationRequestServiceServicer_to_server,
)
from tenantmesh.tenant.v1.login_host_service_pb2_grpc import add_LoginHostServiceServicer_to_server
from tenantmesh.tenant.v1.operation_service_pb2_grpc import add_OperationServiceServicer_to_server
from tenantmesh.tenant.v1.plan_service_pb2_grpc import add_PlanServiceServicer_to_server
from tenantmesh.tenant.v1.purge_service_pb2_grpc import add_PurgeServiceServicer_to_server
from tenantmesh.tenant.v1.quota_service_pb2_grpc import add_QuotaServiceServicer_to_server
from tenantmesh.tenant.v1.setup_link_service_pb2_grpc import add_SetupLinkServiceServicer_to_server
from tenantmesh.tenant.v1.tenant_bulk_service_pb2_grpc import add_TenantBulkServiceServicer_to_server
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import add_TenantServiceServicer_to_server
from tenantmesh.tenant_svc.capabilities import TenantCapabilities
from tenantmesh.tenant_svc.resources import TenantResources
from tenantmesh.tenant_svc.schema import OUTAGE, SCHEMA
from tenantmesh.tenant_svc.settings import TenantSettings
from tenantmesh.tenant_svc.tables import metadata

__all__ = ["SERVICES", "build"]

PACKAGE = "tenantmesh.tenant_svc"
SERVICES: dict[ServiceDescriptor, AddToServer] = {
    tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"]: add_TenantServiceServicer_to_server,
    plan_service_pb2.DESCRIPTOR.services_by_name["PlanService"]: add_PlanServiceServicer_to_server,
    entitlement_service_pb2.DESCRIPTOR.services_by_name["EntitlementService"]: add_EntitlementServiceServicer_to_server,
    purge_service_pb2.DESCRIPTOR.services_by_name["PurgeService"]: add_PurgeServiceServicer_to_server,
    quota_service_pb2.DESCRIPTOR.services_by_name["QuotaService"]: add_QuotaServiceServicer_to_server,
    operation_service_pb2.DESCRIPTOR.services_by_name["OperationService"]: add_OperationServiceServicer_to_server,
    branding_service_pb2.DESCRIPTOR.services_by_name["BrandingService"]: add_BrandingServiceServicer_to_server,
    invitation_request_service_pb2.DESCRIPTOR.services_by_name[
        "InvitationRequestService"
    ]: add_InvitationRequestServiceServicer_to_server,
    setup_link_service_pb2.DESCRIPTOR.services_by_name["SetupLinkService"]: add_SetupLinkServiceServicer_to_server,
    login_host_service_pb2.DESCRIPTOR.services_by_name["LoginHostService"]: add_LoginHostServiceServicer_to_server,
    email_domain_service_pb2.DESCRIPTOR.services_by_name[
        "EmailDomainService"
    ]: add_EmailDomainServiceServicer_to_server,
    tenant_bulk_service_pb2.DESCRIPTOR.services_by_name["TenantBulkService"]: add_TenantBulkServiceServicer_to_server,
}


def _resources(settings: TenantSettings, connections: Connections) -> TenantResources:
    return TenantResources(
        database=connections.database,
        doors=Doors(connections.database, OUTAGE),
        events=settings.events,
        quotas=settings.quotas,
        tenants=settings.tenants,
        pool=RedisQuotaPool(connections.redis),
        branding=settings.branding,
        links=settings.links,
        domains=settings.domains,
        base_domain=settings.mesh.base_domain,
        store=connections.redis,
        connect_auth=lambda: auth_channel(settings, connections.telemetry),
    )


async def build(settings: TenantSettings, telemetry: Telemetry) -> Application:
    """Make the service without starting it. Raises ValueError for settings that are missing."""
    connections = Connections(settings, SCHEMA, telemetry)
    capabilities = TenantCapabilities(_resources(settings, connections))
    telemetry.gauge(
        "tenantmesh_invitation_requests",
        "Invitations of first administrators that wait for delivery, counted up to 10,000.",
        lambda: capabilities.invitations_waiting,
    )
    ports = make_ports(
        settings,
        telemetry,
        connections.redis,
        keys=connections.mesh.key_set,
        api_keys=connections.mesh.api_keys,
        tenants=capabilities.directory,
        entitlements=capabilities.entitlement_source,
        ledger=capabilities.ledger,
    )
    return assemble(
        settings,
        connections,
        capabilities.all,
        ports,
        services=SERVICES,
        metadata=metadata,
        package=PACKAGE,
        beside=[connections.key_check()],
    )
