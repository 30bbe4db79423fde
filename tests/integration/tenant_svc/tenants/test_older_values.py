"""A tenant is put back as it was read, although rules are newer than its values; a new value keeps them."""

from __future__ import annotations

import uuid

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.serving import Service, refusal, request
from tests.integration.tenant_svc.stage import as_superuser

MIXED = "P\u0430ypal"
"""A Cyrillic letter among Latin ones: stored names may have them."""
OLDER = "update tenant.tenants set display_name = $2, time_zone = 'Europe/Nowhere' where tenant_id = $1"


@pytest.mark.parametrize("role", ["operator", "owner"])
async def test_values_that_stay_are_taken(service: Service, migrated: WorkerDatabase, role: str) -> None:
    made = await service.operator.CreateTenant(request())
    await as_superuser(migrated, OLDER, uuid.UUID(made.id), MIXED)
    token = service.auth.token(TenantId(uuid.UUID(made.id)), "owner")
    caller = service.operator if role == "operator" else service.stub(token)
    whole = await caller.GetTenant(pb.GetTenantRequest(id=made.id))
    assert (whole.display_name, whole.time_zone) == (MIXED, "Europe/Nowhere")
    whole.locale = "de-CH"
    changed = await caller.UpdateTenant(pb.UpdateTenantRequest(id=made.id, tenant=whole))
    assert (changed.display_name, changed.time_zone, changed.locale) == (MIXED, "Europe/Nowhere", "de-CH")
    for field, new in (
        ("display_name", tenant_pb2.Tenant(display_name=f"{MIXED}!")),
        ("time_zone", tenant_pb2.Tenant(time_zone="Europe/Neverland")),
    ):
        update = pb.UpdateTenantRequest(id=made.id, tenant=new, update_mask=FieldMask(paths=[field]))
        assert await refusal(caller.UpdateTenant(update)) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
