"""tenant_svc as it runs: its own app, its chain, PostgreSQL and Valkey, called over gRPC."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.tenant_service_pb2_grpc import TenantServiceStub

from deploy.embedded.valkey import Valkey
from interceptors.client import Credential, channel
from interceptors.mesh import Mesh
from interceptors.tenants import TenantId
from runtime.row_security import InsecureDatabase
from runtime.server import make_server
from runtime.settings import DatabaseSettings, RedisSettings, ServerSettings, TelemetrySettings
from runtime.telemetry import Telemetry
from tenant_svc.app import SERVICE, build
from tenant_svc.settings import EventSettings, MeshSettings, TenantSettings, TokenSettings
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.auth_stand_in import AUDIENCE, ISSUER, AuthStandIn
from tests.integration.tenant_svc.conftest import as_superuser, unused_slug

OWN_KEY = "tmk_own-key-of-tenant-svc"


class Service:
    """A running service, who stands in for auth_svc, and its callers."""

    def __init__(self, target: str, auth: AuthStandIn, settings: TenantSettings) -> None:
        self.target = target
        self.auth = auth
        self.settings = settings
        self._channels: list[grpc.aio.Channel] = []
        self.operator = self.stub(auth.key(policy_pb2.AUDIENCE_OPERATOR, "*"))

    def stub(self, credential: str | None) -> Any:
        return TenantServiceStub(self.channel(credential))

    def channel(self, credential: str | None = None) -> grpc.aio.Channel:
        self._channels.append(channel(self.target, credential=Credential(credential) if credential else None))
        return self._channels[-1]

    async def close(self) -> None:
        for opened in self._channels:
            await opened.close()

    def service_key(self, *permissions: str) -> str:
        return self.auth.key(policy_pb2.AUDIENCE_SERVICE, *permissions)


def settings_for(database: WorkerDatabase, valkey: Valkey, auth_target: str) -> TenantSettings:
    return TenantSettings(
        database=DatabaseSettings(url=database.url("tenant_app"), system_url=database.url("tenant_directory")),
        redis=RedisSettings(url=valkey.url),
        mesh=MeshSettings.model_validate({"auth_target": auth_target, "credential": OWN_KEY}),
        tokens=TokenSettings(issuer=ISSUER, audience=AUDIENCE),
        events=EventSettings.model_validate({"checkpoint_interval": "200ms", "window": 20}),
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
async def service(migrated: WorkerDatabase, valkey: Valkey) -> AsyncIterator[Service]:
    auth = AuthStandIn()
    auth_server, auth_target = await auth.serve()
    settings = settings_for(migrated, valkey, auth_target)
    application = await build(settings, Telemetry(TelemetrySettings(), "tenant_svc"))
    await application.start()
    await application.health.start()
    target = f"127.0.0.1:{free_port()}"
    server = make_server(application, ServerSettings(listen=target, reflection=True))
    await server.start()
    made = Service(target, auth, settings)
    yield made
    await made.close()
    await application.health.close()
    await server.stop(0)
    await application.close()
    await auth_server.stop(0)


def request(slug: str | None = None, **fields: Any) -> pb.CreateTenantRequest:
    return pb.CreateTenantRequest(slug=slug or unused_slug(), **fields)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason_of(caught.value)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    details = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    return str(info_of(status_pb2.Status.FromString(details)).reason)


def info_of(status: status_pb2.Status) -> Any:
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


async def test_an_operator_creates_reads_suspends_and_resumes(service: Service) -> None:
    stub = service.operator
    made = await stub.CreateTenant(request(display_name="Acme", plan_id="premium", request_id=str(uuid.uuid4())))
    assert (made.display_name, made.plan_id, made.state) == ("Acme", "premium", tenant_pb2.TENANT_STATE_ACTIVE)
    assert made.create_time.ToDatetime() == made.update_time.ToDatetime()
    for name in (made.id, made.slug, made.id.upper()):
        assert await stub.GetTenant(pb.GetTenantRequest(id=name)) == made
    assert await stub.ResolveTenant(pb.ResolveTenantRequest(slug=made.slug)) == made
    assert await stub.ResolveTenant(pb.ResolveTenantRequest(tenant_id=made.id)) == made
    suspended = await stub.SuspendTenant(pb.SuspendTenantRequest(id=made.slug, reason="unpaid", etag=made.etag))
    assert suspended.state == tenant_pb2.TENANT_STATE_SUSPENDED
    assert await refusal(stub.ResumeTenant(pb.ResumeTenantRequest(id=made.id, etag=made.etag))) == (
        grpc.StatusCode.ABORTED,
        "ETAG_MISMATCH",
    )
    resumed = await stub.ResumeTenant(pb.ResumeTenantRequest(id=made.id, etag=suspended.etag))
    assert resumed.state == tenant_pb2.TENANT_STATE_ACTIVE


async def test_a_user_reads_its_own_tenant_and_no_other(service: Service) -> None:
    mine, theirs = [await service.operator.CreateTenant(request()) for _ in range(2)]
    user = service.stub(service.auth.token(TenantId(uuid.UUID(mine.id))))
    assert await user.GetTenant(pb.GetTenantRequest(id=mine.slug)) == mine
    answers = []
    for name in (theirs.id, theirs.slug, str(uuid.uuid4()), "never-made", "NOT A SLUG", "\x00"):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await user.GetTenant(pb.GetTenantRequest(id=name))
        error = caught.value
        answers.append(
            (error.code(), error.details(), dict(error.trailing_metadata() or ())["grpc-status-details-bin"])
        )
    assert len(set(answers)) == 1
    assert answers[0][0] is grpc.StatusCode.NOT_FOUND


async def test_missing_says_the_same_whoever_says_it(service: Service) -> None:
    """The chain for GetTenant, this service for ResolveTenant and for a tenant that went after it was resolved."""
    messages = set()
    nobody = str(uuid.uuid4())
    for call in (
        service.operator.GetTenant(pb.GetTenantRequest(id=nobody)),
        service.operator.ResolveTenant(pb.ResolveTenantRequest(tenant_id=nobody)),
        service.operator.ResolveTenant(pb.ResolveTenantRequest(tenant_id="garbage")),
        service.operator.ResolveTenant(pb.ResolveTenantRequest(slug="never-made")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        messages.add((caught.value.code(), caught.value.details(), reason_of(caught.value)))
    assert messages == {(grpc.StatusCode.NOT_FOUND, "No such tenant. Check the id or slug.", "TENANT_NOT_FOUND")}


async def test_who_may_not_is_refused(service: Service) -> None:
    made = await service.operator.CreateTenant(request())
    user = service.stub(service.auth.token(TenantId(uuid.UUID(made.id)), "owner"))
    reader = service.stub(service.service_key("tenants.read"))
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert await refusal(user.CreateTenant(request())) == (denied, "AUDIENCE_NOT_ALLOWED")
    assert await refusal(user.ListTenants(pb.ListTenantsRequest())) == (denied, "AUDIENCE_NOT_ALLOWED")
    assert await refusal(reader.ListTenants(pb.ListTenantsRequest())) == (denied, "PERMISSION_MISSING")
    assert await refusal(service.stub(None).GetTenant(pb.GetTenantRequest(id=made.id))) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "CREDENTIALS_MISSING",
    )
    assert await reader.GetTenant(pb.GetTenantRequest(id=made.slug)) == made
    assert service.auth.seen == {f"Bearer {OWN_KEY}"}


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (request("create"), "slug"),
        (request("No"), "slug"),
        (request(plan_id="gold"), "plan_id"),
        (request(display_name="\x00"), "display_name"),
        (request(request_id="1"), "request_id"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_made(service: Service, bad: Any, field: str) -> None:
    stub = service.operator
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CreateTenant(bad)
    status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"])
    listed = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(listed)
    assert [violation.field for violation in listed.field_violations] == [field]
    assert await refusal(stub.ResolveTenant(pb.ResolveTenantRequest(slug=bad.slug)))


async def test_other_bad_requests_are_named(service: Service) -> None:
    stub = service.operator
    made = await stub.CreateTenant(request())
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert await refusal(stub.ResolveTenant(pb.ResolveTenantRequest())) == invalid
    assert await refusal(stub.ListTenants(pb.ListTenantsRequest(page_token="x"))) == invalid
    assert await refusal(stub.SuspendTenant(pb.SuspendTenantRequest(id=made.id))) == invalid
    assert await refusal(stub.GetTenant(pb.GetTenantRequest())) == invalid


async def test_only_validating_creates_nothing_and_a_repeat_answers_the_same(service: Service) -> None:
    stub, again = service.operator, str(uuid.uuid4())
    wanted = request(request_id=again, validate_only=True)
    draft = await stub.CreateTenant(wanted)
    assert (draft.id, draft.etag, draft.slug, draft.HasField("create_time")) == ("", "", wanted.slug, False)
    assert (await refusal(stub.ResolveTenant(pb.ResolveTenantRequest(slug=wanted.slug))))[1] == "TENANT_NOT_FOUND"
    wanted.validate_only = False
    made = await stub.CreateTenant(wanted)
    assert await stub.CreateTenant(wanted) == made
    exists = grpc.StatusCode.ALREADY_EXISTS
    assert await refusal(stub.CreateTenant(request(request_id=again))) == (exists, "REQUEST_ID_REUSED")
    assert await refusal(stub.CreateTenant(request(wanted.slug))) == (exists, "SLUG_TAKEN")


async def test_a_request_id_is_its_callers_own(service: Service) -> None:
    other, again = service.stub(service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")), str(uuid.uuid4())
    mine = await service.operator.CreateTenant(request(request_id=again))
    theirs = await other.CreateTenant(request(request_id=again))
    assert mine.id != theirs.id


async def test_pages_lead_to_the_end(service: Service) -> None:
    stub = service.operator
    made = [(await stub.CreateTenant(request())).id for _ in range(3)]
    seen: list[str] = []
    page = pb.ListTenantsResponse(next_page_token="")
    while page.next_page_token or not seen:
        page = await stub.ListTenants(pb.ListTenantsRequest(page_size=2, page_token=page.next_page_token))
        seen += [tenant.id for tenant in page.tenants]
    assert seen[-3:] == made


async def test_a_watch_begins_at_once_and_tells_what_happens(service: Service) -> None:
    stub = service.operator
    stream = stub.WatchTenants(pb.WatchTenantsRequest())
    first = await asyncio.wait_for(stream.read(), 2)
    assert (first.WhichOneof("event"), bool(first.cursor)) == ("checkpoint", True)
    made = await stub.CreateTenant(request())
    suspended = await stub.SuspendTenant(pb.SuspendTenantRequest(id=made.id, reason="unpaid"))
    told = [message async for message in events(stream, 2)]
    assert [(message.result.type, message.result.tenant) for message in told] == [
        (pb.TENANT_EVENT_TYPE_CREATED, made),
        (pb.TENANT_EVENT_TYPE_SUSPENDED, suspended),
    ]
    idle = [await asyncio.wait_for(stream.read(), 2) for _ in range(2)]
    assert [message.WhichOneof("event") for message in idle] == ["checkpoint", "checkpoint"]
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
        while await directory.find(made.slug) == record:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await directory.close()
    await mesh.close()


async def test_health_serves_by_the_services_name(service: Service) -> None:
    stub: Any = health_pb2_grpc.HealthStub(service.channel())
    for name in ("", SERVICE.full_name):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_it_refuses_to_start_on_a_database_that_does_not_isolate(
    service: Service, migrated: WorkerDatabase
) -> None:
    await as_superuser(migrated, "alter table tenant.tenants no force row level security")
    application = await build(service.settings, Telemetry(TelemetrySettings(), "tenant_svc"))
    try:
        with pytest.raises(InsecureDatabase, match="tenants: row-level security is not enabled and forced"):
            await application.start()
    finally:
        await application.close()
        await as_superuser(migrated, "alter table tenant.tenants force row level security")
