"""BrandingService over gRPC, through the chain: who may change a branding, and what anybody is shown."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import branding_pb2, tenant_pb2
from tenantmesh.tenant.v1 import branding_service_pb2 as pb
from tenantmesh.tenant.v1.branding_service_pb2_grpc import BrandingServiceStub
from tests.integration.tenant_svc.serving import Service, refusal, request


def stub(service: Service, credential: str | None = None) -> Any:
    return BrandingServiceStub(service.channel(credential))


def user(service: Service, tenant: tenant_pb2.Tenant, role: str) -> Any:
    return stub(service, service.auth.token(TenantId(uuid.UUID(tenant.id)), role))


def named(tenant: tenant_pb2.Tenant, name: str) -> pb.UpdateTenantBrandingRequest:
    return pb.UpdateTenantBrandingRequest(id=tenant.id, branding=branding_pb2.Branding(display_name=name))


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_administrators_change_the_branding_of_their_tenant_and_of_no_other(service: Service, role: str) -> None:
    mine, theirs = [await service.operator.CreateTenant(request()) for _ in range(2)]
    mine_user = user(service, mine, role)
    stored = await mine_user.UpdateTenantBranding(named(mine, "Acme"))
    assert await mine_user.GetTenantBranding(pb.GetTenantBrandingRequest(id=mine.slug)) == stored
    for tenant in (theirs.id, theirs.slug, str(uuid.uuid4())):
        asked = pb.UpdateTenantBrandingRequest(id=tenant, branding=branding_pb2.Branding(display_name="Mine now"))
        assert await refusal(mine_user.UpdateTenantBranding(asked)) == (
            grpc.StatusCode.NOT_FOUND,
            "TENANT_NOT_FOUND",
        )
    assert not (
        await user(service, theirs, role).GetTenantBranding(pb.GetTenantBrandingRequest(id=theirs.id))
    ).display_name
    for call in (mine_user.GetDefaultBranding(pb.GetDefaultBrandingRequest()),):
        assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "AUDIENCE_NOT_ALLOWED")


async def test_members_change_nothing(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    member = user(service, tenant, "member")
    refused = (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert await refusal(member.UpdateTenantBranding(named(tenant, "Mine"))) == refused
    assert await refusal(member.GetTenantBranding(pb.GetTenantBrandingRequest(id=tenant.id))) == refused


async def test_anybody_is_shown_what_caches_may_keep_and_nothing_that_changes(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    branding = branding_pb2.Branding(display_name="Acme", sender_email="no-reply@acme.example")
    admin = user(service, tenant, "admin")
    await admin.UpdateTenantBranding(pb.UpdateTenantBrandingRequest(id=tenant.id, branding=branding))
    call = stub(service).GetBranding(pb.GetBrandingRequest(slug=tenant.slug))
    headers = dict(await call.initial_metadata())
    assert headers["cache-control"] == "public, max-age=60"
    assert headers["etag"].startswith('W/"')
    shown = await call
    assert (shown.display_name, shown.colors.on_primary) == ("Acme", "#ffffff")
    assert "no-reply" not in str(shown)


async def test_headers_of_a_caller_that_is_no_proxy_name_nobody(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    await user(service, tenant, "admin").UpdateTenantBranding(named(tenant, "Acme"))
    default = await stub(service).GetBranding(pb.GetBrandingRequest())
    for header in (("x-tenant-query", tenant.slug), ("x-forwarded-host", f"{tenant.slug}.mesh.example")):
        assert await stub(service).GetBranding(pb.GetBrandingRequest(), metadata=(header,)) == default
    assert default.display_name != "Acme"
