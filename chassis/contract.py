"""TenantMesh's own services, as the protos declare them. Reflection lists all of them to callers behind the edge, which
is one address for several processes."""

from __future__ import annotations

from google.protobuf.descriptor import ServiceDescriptor

from tenantmesh.auth.v1 import auth_service_pb2, tenant_data_service_pb2, token_service_pb2
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

__all__ = ["CONTRACT"]

CONTRACT: tuple[ServiceDescriptor, ...] = tuple(
    service
    for proto in (
        tenant_service_pb2,
        plan_service_pb2,
        entitlement_service_pb2,
        quota_service_pb2,
        operation_service_pb2,
        branding_service_pb2,
        setup_link_service_pb2,
        purge_service_pb2,
        invitation_request_service_pb2,
        login_host_service_pb2,
        email_domain_service_pb2,
        tenant_bulk_service_pb2,
        auth_service_pb2,
        token_service_pb2,
        tenant_data_service_pb2,
    )
    for service in proto.DESCRIPTOR.services_by_name.values()
)
