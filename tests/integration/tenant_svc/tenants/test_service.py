"""tenant_svc over gRPC, through its own chain: who may do what, and what is answered."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tenantmesh.interceptors.backends.grpc.entitlements import GrpcEntitlementSource
from tenantmesh.interceptors.backends.grpc.quota_ledger import GrpcQuotaLedger, health_of
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.runtime.row_security import InsecureDatabase
from tenantmesh.runtime.settings import TelemetrySettings
from tenantmesh.runtime.telemetry import Telemetry
from tenantmesh.tenant.v1 import entitlement_service_pb2 as entitlements_pb2
from tenantmesh.tenant.v1 import plan_service_pb2 as plans_pb2
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceStub
from tenantmesh.tenant.v1.plan_service_pb2_grpc import PlanServiceStub
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub
from tenantmesh.tenant_svc.app import SERVICES, build
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.serving import OWN_KEY, Service, reason_of, refusal, request
from tests.integration.tenant_svc.stage import as_superuser


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


async def test_a_host_is_resolved_however_it_is_spelled(service: Service, migrated: WorkerDatabase) -> None:
    made, host = await service.operator.CreateTenant(request()), f"h{uuid.uuid4().hex}.example"
    served = "update tenant.tenants set login_hosts = array[$2::text] where tenant_id = $1"
    await as_superuser(migrated, served, uuid.UUID(made.id), host)
    for spelled in (host, host.upper(), f"{host}.", f"{host}:443"):
        assert (await service.operator.ResolveTenant(pb.ResolveTenantRequest(host=spelled))).id == made.id, spelled
    for wrong in (f"www.{host}", f"{host}:x", f"{host}/", f" {host}", ".", "", made.slug, "\x00.example"):
        refused = await refusal(service.operator.ResolveTenant(pb.ResolveTenantRequest(host=wrong)))
        assert refused == (grpc.StatusCode.NOT_FOUND, "TENANT_NOT_FOUND"), wrong


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


async def test_other_services_learn_what_a_suspended_tenant_may_still_do(service: Service) -> None:
    """Their methods that serve it all the same, such as paying, are gated and charged like all others."""
    tenant = await service.operator.CreateTenant(request())
    await service.operator.SuspendTenant(pb.SuspendTenantRequest(id=tenant.id, reason="unpaid"))
    channel = service.channel(service.service_key("entitlements.read", "quota.lease"))
    tenant_id = TenantId(uuid.UUID(tenant.id))
    ledger = GrpcQuotaLedger(lambda: QuotaServiceStub(channel), lambda: health_of(channel))
    found = await GrpcEntitlementSource(lambda: EntitlementServiceStub(channel)).find(tenant_id)
    assert found is not None
    assert found.has("core")
    (taken,) = await ledger.lease(tenant_id, [Ask("api_requests", 5, 1)])
    assert (taken.granted, taken.left) == (5, 995)
    await ledger.give_back(tenant_id, "api_requests", 5, taken.period_start)


async def test_users_of_a_suspended_tenant_read_what_it_is_entitled_to_and_nothing_else(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    await service.operator.SuspendTenant(pb.SuspendTenantRequest(id=tenant.id, reason="unpaid"))
    token = service.auth.token(TenantId(uuid.UUID(tenant.id)), "owner")
    entitlements = EntitlementServiceStub(service.channel(token))
    found = await entitlements.GetEntitlements(entitlements_pb2.GetEntitlementsRequest(id=tenant.id))
    assert found.plan_id == "basic"
    for refused in (
        entitlements.ListGrants(entitlements_pb2.ListGrantsRequest(id=tenant.id)),
        entitlements.CheckEntitlement(entitlements_pb2.CheckEntitlementRequest(id=tenant.id, feature="core")),
        service.stub(token).GetTenant(pb.GetTenantRequest(id=tenant.id)),
    ):
        assert await refusal(refused) == (grpc.StatusCode.PERMISSION_DENIED, "TENANT_SUSPENDED")


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
        (request(plan_id="not a plan"), "plan_id"),
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
    key, again = service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*", name="another"), str(uuid.uuid4())
    other = service.stub(key)
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


async def test_health_serves_by_the_services_name(service: Service) -> None:
    stub: Any = health_pb2_grpc.HealthStub(service.channel())
    for name in ("", next(iter(SERVICES)).full_name):
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


async def test_staff_reads_why_a_tenant_is_suspended(service: Service) -> None:
    made = await service.operator.CreateTenant(request())
    other = await service.operator.CreateTenant(request())
    suspended = await service.operator.SuspendTenant(pb.SuspendTenantRequest(id=made.id, reason="unpaid since March"))
    assert suspended.suspension.reason == "unpaid since March"
    assert suspended.suspension.actor
    assert suspended.suspension.suspend_time.ToDatetime() == suspended.update_time.ToDatetime()
    again = await service.operator.SuspendTenant(pb.SuspendTenantRequest(id=made.id, reason="something else"))
    assert again == suspended
    staff = service.stub(service.service_key("tenants.read", "tenants.list", "tenants.resolve"))
    assert await service.operator.GetTenant(pb.GetTenantRequest(id=made.id)) == suspended
    assert await staff.ResolveTenant(pb.ResolveTenantRequest(slug=made.slug)) == suspended
    assert not (await staff.GetTenant(pb.GetTenantRequest(id=other.id))).HasField("suspension")
    resumed = await service.operator.ResumeTenant(pb.ResumeTenantRequest(id=made.id))
    assert not resumed.HasField("suspension")


async def test_an_event_says_why_a_tenant_was_suspended(service: Service) -> None:
    made = await service.operator.CreateTenant(request())
    await service.operator.SuspendTenant(pb.SuspendTenantRequest(id=made.id, reason="unpaid"))
    async for message in service.operator.WatchTenants(pb.WatchTenantsRequest(earliest=True)):
        tenant = message.result.tenant
        if tenant.id == made.id and message.result.type == pb.TENANT_EVENT_TYPE_SUSPENDED:
            assert tenant.suspension.reason == "unpaid"
            break


async def test_a_tenant_without_a_plan_gets_the_default_one(service: Service) -> None:
    plans = PlanServiceStub(service.channel(service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")))
    await plans.SetDefaultPlan(plans_pb2.SetDefaultPlanRequest(id="premium"))
    try:
        tried = await service.operator.CreateTenant(request(validate_only=True))
        made = await service.operator.CreateTenant(request())
    finally:
        await plans.SetDefaultPlan(plans_pb2.SetDefaultPlanRequest(id="basic"))
    assert (tried.plan_id, made.plan_id) == ("premium", "premium")
    assert (await service.operator.CreateTenant(request())).plan_id == "basic"


async def test_the_plan_of_new_tenants_is_not_archived(service: Service) -> None:
    plans = PlanServiceStub(service.channel(service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")))
    archived = plans.ArchivePlan(plans_pb2.ArchivePlanRequest(id="basic", version=1))
    assert await refusal(archived) == (grpc.StatusCode.FAILED_PRECONDITION, "PLAN_IS_DEFAULT")
    assert (await service.operator.CreateTenant(request())).plan_id == "basic"
