"""Deletions at their edges: lengths of time that no database holds, and parents and slugs when a tenant comes back."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant_svc.tenants import slugs_repository
from tenantmesh.tenant_svc.tenants.refusals import MOST_SLUGS
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.serving import Service, refusal, request
from tests.integration.tenant_svc.stage import as_superuser, unused_slug

PURGING = "update tenant.tenants set purge_start_time = now() where tenant_id = $1"


async def created(service: Service, **fields: Any) -> tenant_pb2.Tenant:
    made: tenant_pb2.Tenant = await service.operator.CreateTenant(request(**fields))
    return made


async def read(service: Service, tenant_id: str) -> tenant_pb2.Tenant:
    found: tenant_pb2.Tenant = await service.operator.GetTenant(pb.GetTenantRequest(id=tenant_id))
    return found


@pytest.mark.parametrize(
    "grace",
    [
        Duration(seconds=2**63 - 1),
        Duration(seconds=-(2**63)),
        Duration(seconds=10**15),
        Duration(seconds=3653 * 86400, nanos=1000),
        Duration(nanos=-1),
    ],
    ids=str,
)
async def test_a_grace_that_is_none_is_refused(service: Service, grace: Duration) -> None:
    made = await created(service)
    deletion = pb.DeleteTenantRequest(id=made.id, grace_period=grace)
    assert await refusal(service.operator.DeleteTenant(deletion)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
    )
    assert await read(service, made.id) == made


async def test_the_longest_grace_is_taken(service: Service) -> None:
    made = await created(service)
    longest = pb.DeleteTenantRequest(id=made.id, grace_period=Duration(seconds=3653 * 86400))
    deleted = (await service.operator.DeleteTenant(longest)).tenant
    assert deleted.purge_time.seconds - deleted.delete_time.seconds == 3653 * 86400


async def test_a_purged_parent_is_no_parent(service: Service, migrated: WorkerDatabase) -> None:
    parent = await created(service)
    child, other = [await created(service, parent_id=parent.id) for _ in range(2)]
    for each in (child, other, parent):
        await service.operator.DeleteTenant(pb.DeleteTenantRequest(id=each.id))
    await as_superuser(migrated, PURGING, uuid.UUID(parent.id))
    back = await service.operator.UndeleteTenant(pb.UndeleteTenantRequest(id=child.id))
    assert (back.state, back.parent_id) == (tenant_pb2.TENANT_STATE_ACTIVE, "")
    assert (await read(service, other.id)).parent_id == parent.id


async def test_a_tenant_that_comes_back_takes_no_more_slugs_than_others(service: Service, doors: Doors) -> None:
    made = await created(service)
    tenant_id, former = TenantId(uuid.UUID(made.id)), unused_slug()
    async with doors.tenant(tenant_id) as connection:
        for slug in (former, *(unused_slug() for _ in range(MOST_SLUGS - 2))):
            await slugs_repository.take_slug(connection, tenant_id, slug)
    await service.operator.DeleteTenant(pb.DeleteTenantRequest(id=made.id))
    another = pb.UndeleteTenantRequest(id=made.id, slug=unused_slug())
    assert await refusal(service.operator.UndeleteTenant(another)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "TOO_MANY_SLUGS",
    )
    back = await service.operator.UndeleteTenant(pb.UndeleteTenantRequest(id=made.id, slug=former))
    assert (back.slug, back.state) == (former, tenant_pb2.TENANT_STATE_ACTIVE)
