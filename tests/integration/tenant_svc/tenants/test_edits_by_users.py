"""Administrators of a tenant change what is theirs of it, and nothing that is the operators'."""

from __future__ import annotations

import uuid

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tests.integration.tenant_svc.serving import Service, refusal, request

DENIED = grpc.StatusCode.PERMISSION_DENIED


def kept_by_operators() -> tenant_pb2.Tenant:
    return tenant_pb2.Tenant(labels={"team": "emea"}, external_id=f"crm:{uuid.uuid4()}", delete_protection=True)


@pytest.mark.parametrize("role", ["owner", "admin"])
async def test_an_administrator_puts_back_what_was_read(service: Service, role: str) -> None:
    made = await service.operator.CreateTenant(request())
    mask = FieldMask(paths=["labels", "external_id", "delete_protection"])
    full = await service.operator.UpdateTenant(
        pb.UpdateTenantRequest(id=made.id, tenant=kept_by_operators(), update_mask=mask)
    )
    user = service.stub(service.auth.token(TenantId(uuid.UUID(made.id)), role))
    read = await user.GetTenant(pb.GetTenantRequest(id=made.slug))
    assert (dict(read.labels), read.external_id, read.delete_protection) == ({}, "", False)
    read.display_name, read.locale, read.slug = "Ours", "it", "another-slug"
    changed = await user.UpdateTenant(pb.UpdateTenantRequest(id=made.id, tenant=read))
    assert (changed.display_name, changed.locale, changed.slug) == ("Ours", "it", made.slug)
    now = await service.operator.GetTenant(pb.GetTenantRequest(id=made.id))
    for name in ("labels", "external_id", "delete_protection"):
        assert getattr(now, name) == getattr(full, name), "what users do not see stays as it is"


async def test_a_forgotten_mask_clears_nothing(service: Service) -> None:
    contact = tenant_pb2.Contact(display_name="Ann", email="ann@acme.example")
    made = await service.operator.CreateTenant(request(time_zone="Europe/Zurich", contacts=[contact]))
    owner = service.stub(service.auth.token(TenantId(uuid.UUID(made.id)), "owner"))
    for partial in (tenant_pb2.Tenant(display_name="Ours"), tenant_pb2.Tenant(slug=made.slug)):
        for caller in (owner, service.operator):
            update = pb.UpdateTenantRequest(id=made.id, tenant=partial)
            assert await refusal(caller.UpdateTenant(update)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert await service.operator.GetTenant(pb.GetTenantRequest(id=made.id)) == made


async def test_an_administrator_names_no_field_of_the_operators(service: Service) -> None:
    mine, theirs = [await service.operator.CreateTenant(request()) for _ in range(2)]
    owner = service.stub(service.auth.token(TenantId(uuid.UUID(mine.id)), "owner"))
    for field in ("slug", "labels", "region", "external_id", "currency", "delete_protection"):
        update = pb.UpdateTenantRequest(id=mine.id, tenant=mine, update_mask=FieldMask(paths=["locale", field]))
        assert await refusal(owner.UpdateTenant(update)) == (DENIED, "FIELD_NOT_ALLOWED"), field
    refusals = {
        await refusal(owner.UpdateTenant(pb.UpdateTenantRequest(id=name, tenant=pb.UpdateTenantRequest().tenant)))
        for name in (theirs.id, theirs.slug, str(uuid.uuid4()))
    }
    assert refusals == {(grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND")}
    assert await service.operator.GetTenant(pb.GetTenantRequest(id=mine.id)) == mine
