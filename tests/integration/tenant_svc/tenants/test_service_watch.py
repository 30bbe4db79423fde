"""Following tenants over gRPC: the stream's first message, its cursors, and how it ends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc

from tenantmesh.interceptors.backends.grpc.tenants import GrpcTenantSource
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.mesh import Mesh
from tenantmesh.interceptors.tenants import TenantChange, TenantId, TenantState
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub
from tests.integration.tenant_svc.serving import Service, info_of, refusal, request


async def test_a_watch_begins_at_once_and_tells_what_happens(service: Service) -> None:
    stub = service.operator
    stream = stub.WatchTenants(pb.WatchTenantsRequest())
    first = await asyncio.wait_for(stream.read(), 2)
    assert (first.checkpoint.caught_up, bool(first.cursor)) == (True, True)
    made = await stub.CreateTenant(request())
    suspended = await stub.SuspendTenant(pb.SuspendTenantRequest(id=made.id, reason="unpaid"))
    told = [message async for message in events(stream, 2)]
    assert [(message.result.type, message.result.tenant) for message in told] == [
        (pb.TENANT_EVENT_TYPE_CREATED, made),
        (pb.TENANT_EVENT_TYPE_SUSPENDED, suspended),
    ]
    idle = [await asyncio.wait_for(stream.read(), 2) for _ in range(2)]
    assert [message.checkpoint.caught_up for message in idle] == [True, True]
    stream.cancel()
    resumed = stub.WatchTenants(pb.WatchTenantsRequest(cursor=told[0].cursor))
    (again,) = [message async for message in events(resumed, 1)]
    assert again.result.tenant == suspended
    resumed.cancel()


async def events(stream: Any, count: int) -> AsyncIterator[pb.WatchTenantsResponse]:
    async with asyncio.timeout(5):
        while count:
            message = await stream.read()
            assert message.WhichOneof("event") != "error"
            if message.HasField("result"):
                count -= 1
                yield message


async def test_a_bad_cursor_is_a_status_and_not_a_message(service: Service) -> None:
    stream = service.operator.WatchTenants(pb.WatchTenantsRequest(cursor="garbage"))
    assert await refusal(stream.read()) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")


async def test_another_process_is_told_when_a_watch_that_resumes_has_caught_up(service: Service) -> None:
    stub = service.stub(service.service_key("tenants.watch"))
    source, told = GrpcTenantSource(lambda: stub), []
    async with asyncio.timeout(5):
        watch = source.watch(None)
        start = await anext(watch)
        made = await service.operator.CreateTenant(request())
        await anext(watch)
        async for change in source.watch(start.cursor):
            told.append((change.record and str(change.record.id), change.caught_up))
            if change.caught_up:
                break
    assert start.caught_up
    assert told == [(None, False), (made.id, False), (None, True)]


SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024)]


async def test_an_error_after_the_first_message_is_a_message_with_the_last_cursor(service: Service) -> None:
    """A reader that does not read: the transport fills up, then the window moves on without it."""
    stub = service.operator
    key = service.service_key("tenants.watch")
    async with grpc.aio.insecure_channel(service.target, options=SMALL_WINDOW) as slow:
        headers = [("authorization", f"Bearer {key}")]
        stream: Any = TenantServiceStub(slow).WatchTenants(pb.WatchTenantsRequest(), metadata=headers)
        reader = aiter(stream)
        await anext(reader)
        made = [await stub.CreateTenant(request(display_name="x" * 200)) for _ in range(5)]
        for _ in range(60):
            await asyncio.gather(*(stub.SuspendTenant(pb.SuspendTenantRequest(id=t.id, reason="r")) for t in made))
            await asyncio.gather(*(stub.ResumeTenant(pb.ResumeTenantRequest(id=t.id)) for t in made))
        async with asyncio.timeout(10):
            messages = [message async for message in reader]
        last, before = messages[-1], messages[-2]
        assert info_of(last.error).reason == "WATCH_TOO_SLOW"
        assert last.error.code == grpc.StatusCode.ABORTED.value[0]
        assert last.cursor == before.cursor
        assert len(messages) < 500
        assert await stream.code() is grpc.StatusCode.OK


async def test_another_process_learns_of_a_suspension_within_a_second(service: Service) -> None:
    """The directory port of every other service, over this service's stubs."""
    key = service.service_key("tenants.resolve", "tenants.watch")
    mesh = Mesh(tenant_target=service.target, auth_target="127.0.0.1:1", credential=key)
    directory = mesh.ports().directory
    assert directory is not None
    await directory.start()
    made = await service.operator.CreateTenant(request())
    record = await directory.find(TenantId(uuid.UUID(made.id)))
    assert record is not None
    for _ in range(500):
        if directory.live:
            break
        await asyncio.sleep(0.01)
    assert await directory.find(made.slug) == record
    await service.operator.SuspendTenant(pb.SuspendTenantRequest(id=made.id, reason="unpaid"))
    async with asyncio.timeout(1):
        while await directory.find(made.slug) == record:
            await asyncio.sleep(0.005)
    await directory.close()
    await mesh.close()


class Late(GrpcTenantSource):
    """Another process's source, whose watch is long on its way, as on a busy network or through a slow handshake."""

    def __init__(self, stub: Any) -> None:
        super().__init__(lambda: stub)
        self.arrives = asyncio.Event()

    async def watch(self, cursor: str | None) -> AsyncIterator[TenantChange]:
        await self.arrives.wait()
        async for change in super().watch(cursor):
            yield change


async def test_a_suspension_while_the_watch_is_on_its_way_is_seen(service: Service) -> None:
    made = await service.operator.CreateTenant(request())
    source = Late(service.stub(service.service_key("tenants.resolve", "tenants.watch")))
    directory = TenantDirectory(source)
    await directory.start()
    tenant_id = TenantId(uuid.UUID(made.id))
    before = await directory.find(tenant_id)
    await service.operator.SuspendTenant(pb.SuspendTenantRequest(id=made.id, reason="unpaid"))
    source.arrives.set()
    async with asyncio.timeout(5):
        while not directory.live:  # the directory has no event
            await asyncio.sleep(0.005)
    after = await directory.find(tenant_id)
    await directory.close()
    assert before is not None
    assert after is not None
    assert (before.state, after.state) == (TenantState.ACTIVE, TenantState.SUSPENDED)
