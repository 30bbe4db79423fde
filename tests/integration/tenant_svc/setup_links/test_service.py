"""SetupLinkService over gRPC, through the chain: an administrator makes links for what it may do itself."""

from __future__ import annotations

import uuid

import grpc

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import setup_link_pb2
from tenantmesh.tenant.v1 import setup_link_service_pb2 as pb
from tenantmesh.tenant.v1.setup_link_service_pb2_grpc import SetupLinkServiceStub
from tests.integration.tenant_svc.serving import Service, refusal, request


async def test_an_administrator_makes_a_link_and_sees_no_credentials(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    admin = SetupLinkServiceStub(service.channel(service.auth.token(TenantId(uuid.UUID(tenant.id)), "admin")))
    call = admin.CreateSetupLink(
        pb.CreateSetupLinkRequest(id=tenant.id, intent=setup_link_pb2.SETUP_INTENT_EMAIL_DOMAIN)
    )
    assert dict(await call.initial_metadata())["cache-control"] == "no-store"
    made = await call
    assert made.uri == f"http://127.0.0.1:8080/set-up#{made.token}"
    lasts = made.setup_link.expire_time.ToDatetime() - made.setup_link.create_time.ToDatetime()
    assert made.setup_link.actor == ""
    assert 0 < lasts.total_seconds() <= 300, "as long as the installation says, and no longer than the token"


async def test_a_link_gives_no_more_than_its_maker_has(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    key = service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "setup_links.create", "login_hosts.write")
    links = SetupLinkServiceStub(service.channel(key))
    await links.CreateSetupLink(pb.CreateSetupLinkRequest(id=tenant.id, intent=setup_link_pb2.SETUP_INTENT_LOGIN_HOST))
    asked = pb.CreateSetupLinkRequest(id=tenant.id, intent=setup_link_pb2.SETUP_INTENT_EMAIL_DOMAIN)
    assert await refusal(links.CreateSetupLink(asked)) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")
