"""Puts auth_svc together from its capabilities."""

from __future__ import annotations

from google.protobuf.descriptor import ServiceDescriptor

from tenantmesh.auth.v1 import auth_service_pb2, tenant_data_service_pb2, token_service_pb2
from tenantmesh.auth.v1.auth_service_pb2_grpc import add_AuthServiceServicer_to_server
from tenantmesh.auth.v1.tenant_data_service_pb2_grpc import add_TenantDataServiceServicer_to_server
from tenantmesh.auth.v1.token_service_pb2_grpc import add_TokenServiceServicer_to_server
from tenantmesh.auth_svc.capabilities import AuthCapabilities
from tenantmesh.auth_svc.resources import AuthResources
from tenantmesh.auth_svc.schema import OUTAGE, SCHEMA
from tenantmesh.auth_svc.settings import AuthSettings
from tenantmesh.auth_svc.tables import metadata
from tenantmesh.chassis.chain import call_spans, make_ports
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.service import AddToServer, Connections, assemble
from tenantmesh.interceptors import TenantDirectory
from tenantmesh.runtime.encryption import read_kek
from tenantmesh.runtime.server import Application
from tenantmesh.runtime.telemetry import Telemetry

__all__ = ["SERVICES", "build"]

PACKAGE = "tenantmesh.auth_svc"
SERVICES: dict[ServiceDescriptor, AddToServer] = {
    auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]: add_AuthServiceServicer_to_server,
    token_service_pb2.DESCRIPTOR.services_by_name["TokenService"]: add_TokenServiceServicer_to_server,
    tenant_data_service_pb2.DESCRIPTOR.services_by_name["TenantDataService"]: add_TenantDataServiceServicer_to_server,
}


async def build(settings: AuthSettings, telemetry: Telemetry) -> Application:
    """Make the service without starting it. Raises KekRefused, or ValueError for settings that are missing."""
    kek = read_kek(settings.tokens.kek_file, "TENANTMESH_TOKENS_KEK_FILE")
    connections = Connections(settings, SCHEMA, telemetry)
    mesh, doors = connections.mesh, Doors(connections.database, OUTAGE)
    tenants = TenantDirectory(mesh.tenant_source)
    capabilities = AuthCapabilities(
        AuthResources(
            settings=settings,
            doors=doors,
            redis=connections.redis,
            kek=kek,
            tenants=tenants,
            tenant_source=mesh.tenant_source,
            telemetry=telemetry,
            tracer=call_spans(settings, telemetry),
        )
    )
    ports = make_ports(
        settings,
        telemetry,
        connections.redis,
        keys=capabilities.signing_keys,
        api_keys=capabilities.system_keys,
        tenants=tenants,
        entitlements=mesh.entitlement_source,
        ledger=mesh.quota_ledger,
    )
    return assemble(
        settings, connections, capabilities.all, ports, services=SERVICES, metadata=metadata, package=PACKAGE
    )
