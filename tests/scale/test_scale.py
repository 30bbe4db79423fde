"""A short form of `make scale`: memory is bounded by counts, whatever the number of tenants. Times are printed by the
long form; here they would fail for a machine that is busy."""

from __future__ import annotations

import fcntl
import gc
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import grpc
import pytest

from tenantmesh.chassis.event_log.watch import PAGE
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.backends.grpc.tenants import GrpcTenantSource
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements
from tenantmesh.tenant.v1 import entitlement_service_pb2_grpc
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant_svc.history.event import EntitlementEvent
from tenantmesh.tenant_svc.tenants.events import TenantEvent
from tests.fixtures.engines import WORKER, WorkerDatabase
from tests.integration.tenant_svc.serving import Service, running
from tests.scale.product import make_model
from tests.scale.rows import FORMER, Many, multiply, of_tenant

SIZE = 2_000
CAPACITY = 300
LOOK_EVERY = 100


@dataclass(frozen=True)
class Full:
    """A service with many tenants, and what the first of them wrote."""

    service: Service
    many: Many
    rows: dict[str, int]
    first: Any


@pytest.fixture(scope="module")
async def full(postgres: WorkerDatabase, store: Store) -> AsyncIterator[Full]:
    """A database of its own: other tests list their tenants."""
    own = WorkerDatabase(postgres.engines, f"scale_{WORKER}")
    with (postgres.engines.places.state.parent / "engines.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        own.engines.postgres.clone(own.name)
    async with running(own, store) as service:
        made = await make_model(service.operator)
        connection = await asyncpg.connect(own.admin_url.get_secret_value())
        rows = await of_tenant(connection, uuid.UUID(made.id))
        many = await multiply(connection, uuid.UUID(made.id), SIZE)
        await connection.close()
        yield Full(service, many, rows, made)
    own.engines.postgres.drop(own.name)


def alive(kind: type) -> int:
    """How many objects of the kind this process holds: the service runs in it."""
    return sum(type(each) is kind for each in gc.get_objects())


async def snapshot(stream: Any, kind: type) -> tuple[list[str], int]:
    """The tenants of a snapshot, and the most events of it that were there at a time. Each page is looked at."""
    found: list[str] = []
    most, left_by_others = 0, alive(kind)
    async for message in stream:
        if message.checkpoint.caught_up:
            return found, most
        if message.HasField("result"):
            result = message.result
            found.append(result.tenant.id if hasattr(result, "tenant") else result.tenant_id)
        if len(found) % LOOK_EVERY == 1:
            most = max(most, alive(kind) - left_by_others)
    raise AssertionError("the stream ended")


async def test_the_rows_are_those_that_creating_a_tenant_writes(full: Full) -> None:
    assert {
        "tenant.tenants",
        "tenant.tenant_events",
        "tenant.tenant_requests",
        "tenant.tenant_slugs",
    } <= full.rows.keys()
    copied = await full.service.operator.GetTenant(pb.GetTenantRequest(id=str(full.many.ids[-1])))
    changing = {"id", "slug", "display_name", "etag", "labels", "external_id"}
    fields = [field.name for field in pb.CreateTenantRequest.DESCRIPTOR.fields if hasattr(copied, field.name)]
    assert fields
    for name in set(fields) - changing:
        assert getattr(copied, name) == getattr(full.first, name), name


async def test_a_snapshot_is_read_and_sent_page_by_page(full: Full) -> None:
    stream = full.service.operator.WatchTenants(pb.WatchTenantsRequest(snapshot=True), timeout=60)
    found, most = await snapshot(stream, TenantEvent)
    assert found == sorted([full.first.id, *map(str, full.many.ids)])
    assert 0 < most <= 2 * PAGE + 2 * full.service.settings.events.window


async def test_so_is_the_snapshot_of_entitlements(full: Full) -> None:
    opened = full.service.channel(full.service.service_key("entitlements.watch"))
    stub: Any = entitlement_service_pb2_grpc.EntitlementServiceStub(opened)
    request = entitlements.WatchEntitlementsRequest(snapshot=True)
    found, most = await snapshot(stub.WatchEntitlements(request, timeout=60), EntitlementEvent)
    assert found == sorted([full.first.id, *map(str, full.many.ids)])
    assert 0 < most <= 2 * PAGE + 2 * full.service.settings.events.window


async def test_a_directory_remembers_no_more_than_its_capacity(full: Full) -> None:
    stub = full.service.stub(full.service.service_key("tenants.resolve", "tenants.watch"))
    directory = TenantDirectory(GrpcTenantSource(lambda: stub), capacity=CAPACITY)
    await directory.start()
    try:
        for tenant_id, slug in zip(full.many.ids, full.many.slugs, strict=True):
            found = await directory.find(TenantId(tenant_id))
            assert found is not None
            assert found.slug == slug
            assert directory.size <= CAPACITY
        assert directory.size > CAPACITY // 2
    finally:
        await directory.close()


async def test_pages_hold_each_tenant_once(full: Full) -> None:
    found: list[str] = []
    token = ""
    while True:
        page = await full.service.operator.ListTenants(pb.ListTenantsRequest(page_size=500, page_token=token))
        found += [tenant.id for tenant in page.tenants]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted([full.first.id, *map(str, full.many.ids)])


async def test_every_copy_can_be_resolved(full: Full) -> None:
    for index in (0, SIZE // 2, SIZE - 1):
        found = await full.service.operator.ResolveTenant(pb.ResolveTenantRequest(slug=full.many.slugs[index]))
        assert found.id == str(full.many.ids[index])
        former = full.many.slugs[index] + FORMER
        assert (await full.service.operator.ResolveTenant(pb.ResolveTenantRequest(slug=former))).id == found.id
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await full.service.operator.ResolveTenant(pb.ResolveTenantRequest(slug="scale-999999"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
