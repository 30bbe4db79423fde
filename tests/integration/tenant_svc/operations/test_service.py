"""Migrations and operations as callers see them: over gRPC, through the chain, with a worker beside the service."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest
from google.longrunning.operations_pb2 import Operation
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import entitlement_service_pb2, operation_pb2, operation_service_pb2, tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as pb
from tenantmesh.tenant.v1.entitlement_service_pb2_grpc import EntitlementServiceStub
from tenantmesh.tenant.v1.operation_service_pb2_grpc import OperationServiceStub
from tests.integration.tenant_svc.auth_stand_in import credential_of
from tests.integration.tenant_svc.plan_changes.test_queue import working
from tests.integration.tenant_svc.serving import Service, info_of, refusal, request
from tests.integration.tenant_svc.world import World

WAIT = Duration(seconds=40)


def metadata_of(operation: Operation) -> pb.MigrateTenantPlanMetadata:
    metadata = pb.MigrateTenantPlanMetadata()
    assert operation.metadata.Unpack(metadata)
    return metadata


def tenant_of(operation: Operation) -> tenant_pb2.Tenant:
    tenant = tenant_pb2.Tenant()
    assert operation.response.Unpack(tenant)
    return tenant


def named(operation: Operation) -> dict[str, str]:
    """How the operation is asked for."""
    match operation.name.split("/"):
        case ["tenants", tenant, "operations", each]:
            return {"id": tenant, "operation_id": each}
    raise AssertionError(operation.name)


@pytest.fixture
def key(service: Service) -> str:
    return service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")


@pytest.fixture
async def operations(service: Service, key: str) -> Any:
    return OperationServiceStub(service.channel(key))


async def test_a_migration_is_started_awaited_found_and_listed(
    service: Service, operations: Any, world: World, key: str
) -> None:
    tenant = await service.operator.CreateTenant(request())
    asked = pb.MigrateTenantPlanRequest(
        id=tenant.slug, plan_id="enterprise", request_id=str(uuid.uuid4()), reason="grown"
    )
    started = await service.operator.MigrateTenantPlan(asked)
    assert not started.done
    before = metadata_of(started)
    assert (before.state, before.progress_percent) == (operation_pb2.OPERATION_STATE_SCHEDULED, 0)
    assert (before.from_plan_id, before.from_plan_version) == ("basic", 1)
    assert (before.to_plan_id, before.to_plan_version) == ("enterprise", 1)
    assert before.effective_time == before.create_time
    async with working(world):
        ended = await operations.WaitOperation(
            operation_service_pb2.WaitOperationRequest(**named(started), timeout=WAIT), timeout=50
        )
    assert ended.done
    after = metadata_of(ended)
    assert (after.state, after.progress_percent) == (operation_pb2.OPERATION_STATE_SUCCEEDED, 100)
    assert after.HasField("end_time")
    changed = await service.operator.GetTenant(pb.GetTenantRequest(id=tenant.id))
    assert tenant_of(ended) == changed
    assert (changed.plan_id, changed.plan_version) == ("enterprise", 1)
    assert await operations.GetOperation(operation_service_pb2.GetOperationRequest(**named(started))) == ended
    listed = await operations.ListOperations(operation_service_pb2.ListOperationsRequest(id=tenant.id))
    assert list(listed.operations) == [ended]
    assert await service.operator.MigrateTenantPlan(asked) == ended
    history = await EntitlementServiceStub(service.channel(key)).ListEntitlementChanges(
        entitlement_service_pb2.ListEntitlementChangesRequest(id=tenant.id)
    )
    assert (history.changes[0].reason, history.changes[0].after) == ("grown", "enterprise@1")


async def test_a_dry_run_has_no_name_and_shows_the_tenant_as_it_would_be(service: Service) -> None:
    tenant = await service.operator.CreateTenant(request())
    tried = await service.operator.MigrateTenantPlan(
        pb.MigrateTenantPlanRequest(id=tenant.id, plan_id="premium", validate_only=True)
    )
    assert (tried.name, tried.done) == ("", True)
    assert metadata_of(tried).state == operation_pb2.OPERATION_STATE_VALIDATED
    assert tenant_of(tried).plan_id == "premium"
    assert await service.operator.GetTenant(pb.GetTenantRequest(id=tenant.id)) == tenant


async def test_what_is_over_is_told_in_metadata_and_error(service: Service, operations: Any, world: World) -> None:
    tenant = await service.operator.CreateTenant(request(plan_id="premium"))
    await world.level(TenantId(uuid.UUID(tenant.id)), "users", 101)
    started = await service.operator.MigrateTenantPlan(pb.MigrateTenantPlanRequest(id=tenant.id, plan_id="basic"))
    async with working(world):
        ended = await operations.WaitOperation(
            operation_service_pb2.WaitOperationRequest(**named(started), timeout=WAIT), timeout=50
        )
    assert metadata_of(ended).state == operation_pb2.OPERATION_STATE_FAILED
    assert list(metadata_of(ended).over_limits) == [pb.OverLimit(feature="users", used=101, limit=100)]
    info = info_of(ended.error)
    assert (ended.error.code, info.reason, info.domain) == (
        code_pb2.FAILED_PRECONDITION, "OVER_LIMIT", "tenantmesh"
    )  # fmt: skip
    assert "users (101 of 100)" in ended.error.message


async def test_a_cancelled_one_says_so_and_who_did_it(service: Service, operations: Any, key: str) -> None:
    tenant = await service.operator.CreateTenant(request())
    started = await service.operator.MigrateTenantPlan(
        pb.MigrateTenantPlanRequest(id=tenant.id, plan_id="premium", timing=pb.MIGRATION_TIMING_NEXT_PERIOD)
    )
    assert metadata_of(started).effective_time.ToDatetime() > metadata_of(started).create_time.ToDatetime()
    code, reason = await refusal(
        service.operator.MigrateTenantPlan(pb.MigrateTenantPlanRequest(id=tenant.id, plan_id="premium"))
    )
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "MIGRATION_UNDER_WAY")
    cancelled = await operations.CancelOperation(operation_service_pb2.CancelOperationRequest(**named(started)))
    assert (cancelled.done, cancelled.error.code) == (True, code_pb2.CANCELLED)
    assert info_of(cancelled.error).reason == "OPERATION_CANCELLED"
    assert (metadata_of(cancelled).state, metadata_of(started).cancelled_by) == (
        operation_pb2.OPERATION_STATE_CANCELLED,
        "",
    )
    assert metadata_of(cancelled).cancelled_by == credential_of(key)
    found = await operations.GetOperation(operation_service_pb2.GetOperationRequest(**named(started)))
    assert metadata_of(found) == metadata_of(cancelled)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "plan_id"),
        ({"plan_id": "No Plan"}, "plan_id"),
        ({"plan_id": "basic", "plan_version": -1}, "plan_version"),
        ({"plan_id": "basic", "timing": 9}, "timing"),
        ({"plan_id": "basic", "over_limit_policy": 9}, "over_limit_policy"),
        ({"plan_id": "basic", "over_limit_policy": pb.OVER_LIMIT_POLICY_GRACE}, "grace_until"),
        ({"plan_id": "basic", "grace_until": Timestamp(seconds=4_000_000_000)}, "grace_until"),
        (
            {
                "plan_id": "basic",
                "over_limit_policy": pb.OVER_LIMIT_POLICY_GRACE,
                "grace_until": Timestamp(seconds=2**62),
            },
            "grace_until",
        ),
        (
            {"plan_id": "basic", "over_limit_policy": pb.OVER_LIMIT_POLICY_GRACE, "grace_until": Timestamp(seconds=1)},
            "grace_until",
        ),
        ({"plan_id": "basic", "request_id": "no-uuid"}, "request_id"),
        ({"plan_id": "basic", "reason": "two\nlines"}, "reason"),
        ({"plan_id": "basic", "reason": "x" * 501}, "reason"),
    ],
)
async def test_wrong_fields_are_named(service: Service, wrong: dict[str, Any], field: str) -> None:
    tenant = await service.operator.CreateTenant(request())
    with pytest.raises(grpc.aio.AioRpcError, match=field) as caught:
        await service.operator.MigrateTenantPlan(pb.MigrateTenantPlanRequest(id=tenant.id, **wrong))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_wait_ends_before_the_callers_deadline(service: Service, operations: Any) -> None:
    tenant = await service.operator.CreateTenant(request())
    started = await service.operator.MigrateTenantPlan(
        pb.MigrateTenantPlanRequest(id=tenant.id, plan_id="premium", timing=pb.MIGRATION_TIMING_NEXT_PERIOD)
    )
    asked = operation_service_pb2.WaitOperationRequest(**named(started), timeout=WAIT)
    assert await operations.WaitOperation(asked, timeout=3) == started
    asked.timeout.FromSeconds(0)
    assert await operations.WaitOperation(asked) == started


async def test_a_user_sees_the_own_tenants_operations_and_changes_none(service: Service, operations: Any) -> None:
    tenant, other = [await service.operator.CreateTenant(request()) for _ in range(2)]
    migrating = pb.MigrateTenantPlanRequest(id=tenant.id, plan_id="premium", timing=pb.MIGRATION_TIMING_NEXT_PERIOD)
    started = await service.operator.MigrateTenantPlan(migrating)
    token = service.auth.token(TenantId(uuid.UUID(tenant.id)), "owner")
    user = OperationServiceStub(service.channel(token))
    asked_for = operation_service_pb2.GetOperationRequest(**named(started))
    found = await user.GetOperation(asked_for)
    assert found == started
    denied = grpc.StatusCode.PERMISSION_DENIED
    code, _ = await refusal(user.CancelOperation(operation_service_pb2.CancelOperationRequest(**named(started))))
    assert code is denied
    code, _ = await refusal(service.stub(token).MigrateTenantPlan(migrating))
    assert code is denied
    await operations.CancelOperation(operation_service_pb2.CancelOperationRequest(**named(started)))
    listed = await user.ListOperations(operation_service_pb2.ListOperationsRequest(id=tenant.id))
    waited = await user.WaitOperation(operation_service_pb2.WaitOperationRequest(**named(started), timeout=WAIT))
    for found in (await user.GetOperation(asked_for), *listed.operations, waited):
        told = metadata_of(found)
        assert (told.state, told.cancelled_by) == (operation_pb2.OPERATION_STATE_CANCELLED, "")
    foreign = OperationServiceStub(service.channel(service.auth.token(TenantId(uuid.UUID(other.id)), "owner")))
    asked = {**named(started), "id": other.id}
    assert await refusal(foreign.GetOperation(operation_service_pb2.GetOperationRequest(**asked))) == (
        grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"
    )  # fmt: skip


async def test_an_operation_of_a_type_that_is_unknown_here_fails_no_list(
    service: Service, operations: Any, world: World
) -> None:
    """During an upgrade a newer process makes operations of types that this one does not know."""
    tenant = await service.operator.CreateTenant(request())
    later = pb.MigrateTenantPlanRequest(id=tenant.slug, plan_id="enterprise", timing=pb.MIGRATION_TIMING_NEXT_PERIOD)
    started = await service.operator.MigrateTenantPlan(later)
    await world.rows("update tenant.operations set type = 'LATER' where tenant_id = $1", tenant.id)
    listed = await operations.ListOperations(operation_service_pb2.ListOperationsRequest(id=tenant.id))
    (operation,) = listed.operations
    assert (operation.name, operation.HasField("metadata")) == (started.name, False)
