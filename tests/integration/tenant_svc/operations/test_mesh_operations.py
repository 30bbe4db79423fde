"""Operations of the mesh as a whole: operators alone see them, and only the system door makes them and their jobs."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.jobs.enqueue import enqueue
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.runtime.database import DatabaseError, UniqueViolation
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant.v1 import operation_service_pb2 as pb
from tenantmesh.tenant.v1.operation_service_pb2_grpc import OperationServiceStub
from tenantmesh.tenant_svc.operations import repository
from tenantmesh.tenant_svc.operations.operation import (
    Operation,
    OperationState,
    operation_name,
    parse_mesh_name,
    parse_name,
)
from tenantmesh.tenant_svc.operations.operations import Operations
from tests.integration.tenant_svc.serving import Service, refusal, request
from tests.integration.tenant_svc.world import ACTOR, World

TYPE = "COUNT_THE_STARS"
REASON = "test operations of the mesh"


async def started(doors: Doors, subject: str = "", key: RequestKey | None = None, kind: str = TYPE) -> Operation:
    """An operation of the mesh that no worker has seen."""
    moment = datetime.now(UTC)
    operation = Operation(
        tenant_id=None,
        id=uuid7(),
        type=kind,
        state=OperationState.SCHEDULED,
        request={"stars": 3},
        progress={"seen": 0},
        actor=ACTOR,
        effective_time=moment,
        create_time=moment,
        subject=subject,
    )
    async with doors.system(REASON) as connection:
        await repository.create(connection, operation, key, "digest")
    return operation


async def test_it_is_stored_found_advanced_and_ended_as_a_tenants_is(doors: Doors, operations: Operations) -> None:
    operation = await started(doors)
    assert await operations.get(None, str(operation.id)) == operation
    moved = replace(operation, state=OperationState.APPLYING, progress={"seen": 2})
    async with doors.system(REASON) as connection:
        assert await repository.get_locked(connection, None, operation.id) == operation
        await repository.advance(connection, moved)
    assert await operations.get(None, str(operation.id)) == moved
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(operations.wait(None, str(operation.id), 50))
        async with doors.system(REASON) as connection:
            done = replace(moved, state=OperationState.SUCCEEDED, result={"stars": 3})
            await repository.end(connection, done)
    assert (waiting.result().done, waiting.result().result) == (True, {"stars": 3})
    assert waiting.result().name == f"operations/{operation.id}"


async def test_one_of_a_type_and_subject_is_under_way_at_a_time(doors: Doors, operations: Operations) -> None:
    subject = f"tenants/{uuid.uuid4()}"
    first = await started(doors, subject)
    with pytest.raises(UniqueViolation):
        await started(doors, subject)
    async with doors.system(REASON, read_only=True) as connection:
        assert await repository.id_under_way(connection, None, TYPE, subject) == first.id
        assert await repository.id_under_way(connection, None, TYPE, "tenants/other") is None
    assert (await operations.get(None, str(first.id))).subject == subject
    await operations.cancel(None, str(first.id), ACTOR)
    assert (await started(doors, subject)).id != first.id
    for _ in range(2):  # any number without a subject
        await started(doors)


async def test_a_request_is_remembered_by_its_caller(doors: Doors) -> None:
    key = RequestKey(ACTOR, uuid.uuid4())
    operation = await started(doors, key=key)
    async with doors.system(REASON, read_only=True) as connection:
        assert await repository.made_by(connection, None, key) == ("digest", operation)
        assert await repository.made_by(connection, None, replace(key, requester="another")) is None
    with pytest.raises(UniqueViolation):
        await started(doors, key=key)


@pytest.mark.parametrize(
    ("state", "told"),
    [(OperationState.SCHEDULED, "before it changed anything"), (OperationState.APPLYING, "had done until then stays")],
)
async def test_a_cancelled_one_says_whether_it_has_changed_anything(
    doors: Doors, operations: Operations, state: OperationState, told: str
) -> None:
    operation = await started(doors)
    async with doors.system(REASON) as connection:
        await repository.advance(connection, replace(operation, state=state))
    cancelled = await operations.cancel(None, str(operation.id), ACTOR)
    assert (cancelled.state, cancelled.cancelled_by) == (OperationState.CANCELLED, ACTOR)
    assert cancelled.error is not None
    assert told in cancelled.error.message
    assert await operations.cancel(None, str(operation.id), "another") == cancelled


async def test_neither_kind_is_found_as_the_other(world: World, doors: Doors, operations: Operations) -> None:
    of_mesh, of_tenant = await started(doors), await world.started()
    for owner, operation in ((of_tenant.owner, of_mesh), (None, of_tenant)):
        for asked in (operations.get(owner, str(operation.id)), operations.cancel(owner, str(operation.id), ACTOR)):
            with pytest.raises(NotFound, match="no such operation"):
                await asked
    listed = await operations.page(None, 1000, "")
    assert {each.tenant_id for each in listed.items} == {None}
    assert of_mesh in listed.items


async def test_a_list_is_of_one_type_as_asked(doors: Doors, operations: Operations) -> None:
    kind = f"TYPE_{uuid.uuid4().hex.upper()}"
    made = [await started(doors, kind=kind) for _ in range(3)]
    await started(doors)
    page = await operations.page(None, 2, "", kind)
    assert page.items == made[:0:-1]
    assert (await operations.page(None, 2, page.next_token, kind)).items == made[:1]
    with pytest.raises(Exception, match="page_token"):
        await operations.page(None, 2, page.next_token)


def test_names_are_read_back() -> None:
    tenant, operation = TenantId(uuid.uuid4()), uuid.uuid4()
    assert parse_mesh_name(operation_name(None, operation)) == operation
    assert parse_name(operation_name(tenant, operation)) == (tenant, operation)
    for parse, wrong in ((parse_mesh_name, operation_name(tenant, operation)), (parse_name, f"operations/{operation}")):
        with pytest.raises(ValueError, match="not the name"):
            parse(wrong)


async def test_a_page_reads_the_number_of_a_long_list_and_not_the_list(doors: Doors, operations: Operations) -> None:
    kind = f"TYPE_{uuid.uuid4().hex.upper()}"
    long, short = await started(doors, kind=kind), await started(doors, kind=kind)
    rejected = [[number, "x" * 300] for number in range(5_000)]
    moved = replace(long, progress={"rejected": rejected, "done": 7})
    async with doors.system(REASON) as connection:
        await repository.advance(connection, moved)
    listed = (await operations.page(None, 1000, "", kind)).items
    assert [each.progress for each in listed] == [short.progress, {"rejected": 5_000, "done": 7}]
    assert (await operations.get(None, str(long.id))).progress == moved.progress


async def test_its_job_comes_through_the_system_door_alone(world: World, doors: Doors) -> None:
    operation, of_tenant = await started(doors), await world.started()
    async with doors.system(REASON) as connection:
        await enqueue(connection, "count_the_stars", operation.name, operation.effective_time)
    (job,) = await world.jobs(operation)
    assert (job["payload"].decode(), job["status"]) == (operation.name, "queued")
    for subject in (of_tenant.name, f"{operation.name}/and-more", f"operation_/{operation.id}", "", operation.name[1:]):
        with pytest.raises(DatabaseError, match="42501"):
            async with doors.system(REASON) as connection:
                await enqueue(connection, "count_the_stars", subject, operation.effective_time)
    with pytest.raises(DatabaseError, match="42501"):
        async with doors.tenant(of_tenant.owner) as connection:
            await enqueue(connection, "count_the_stars", operation.name, operation.effective_time)


@pytest.mark.parametrize(
    "statement",
    ["select from jobs.pgqueuer", "delete from jobs.pgqueuer", "update jobs.pgqueuer set status = 'failed'"],
)
async def test_and_the_system_door_does_nothing_else_there(world: World, statement: str) -> None:
    connection = await asyncpg.connect(world.database.url("tenant_directory").get_secret_value())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_tenants_door_sees_no_operation_of_the_mesh(world: World) -> None:
    connection = await asyncpg.connect(world.database.url("tenant_app").get_secret_value())
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await connection.execute("select from tenant.mesh_operations")
    finally:
        await connection.close()


def methods(stub: Any, named: dict[str, str]) -> list[Any]:
    """Every call about one operation, and that of all."""
    return [
        stub.GetOperation(pb.GetOperationRequest(**named)),
        stub.WaitOperation(pb.WaitOperationRequest(**named, timeout=Duration(seconds=0))),
        stub.ListOperations(pb.ListOperationsRequest(id=named.get("id", ""))),
    ]


async def test_operators_alone_see_them(service: Service, doors: Doors) -> None:
    tenant = await service.operator.CreateTenant(request())
    operation = await started(doors)
    named = {"operation_id": str(operation.id)}
    key = service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")
    operator = OperationServiceStub(service.channel(key))
    for each in methods(operator, named)[:2]:
        assert (await each).name == operation.name
    listed = await operator.ListOperations(pb.ListOperationsRequest(page_size=1000))
    assert operation.name in {each.name for each in listed.operations}
    missing = (grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND")
    of_service = OperationServiceStub(service.channel(service.service_key("*")))
    for each in methods(of_service, named):
        assert await refusal(each) == missing
    for field in ({}, {"id": tenant.id}):
        user = OperationServiceStub(service.channel(service.auth.token(TenantId(uuid.UUID(tenant.id)), "owner")))
        for each in methods(user, {**named, **field})[:2]:
            assert await refusal(each) == missing
        assert list((await user.ListOperations(pb.ListOperationsRequest(**field))).operations) == []
    cancelled = await operator.CancelOperation(pb.CancelOperationRequest(**named))
    assert (cancelled.name, cancelled.done) == (operation.name, True)


async def test_a_user_without_an_id_asks_about_its_own_tenant(service: Service, world: World, doors: Doors) -> None:
    mine, foreign = await world.started(), await world.started()
    user = OperationServiceStub(service.channel(service.auth.token(mine.owner, "owner")))
    assert (await user.GetOperation(pb.GetOperationRequest(operation_id=str(mine.id)))).name == mine.name
    listed = await user.ListOperations(pb.ListOperationsRequest())
    assert [each.name for each in listed.operations] == [mine.name]
    code, reason = await refusal(user.GetOperation(pb.GetOperationRequest(operation_id=str(foreign.id))))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND")


async def test_lists_are_filtered_by_the_method_that_started_the_operation(service: Service, world: World) -> None:
    operation = await world.started()
    key = service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "*")
    operator = OperationServiceStub(service.channel(key))
    asked = pb.ListOperationsRequest(id=str(operation.owner), type="MigrateTenantPlan")
    assert [each.name for each in (await operator.ListOperations(asked)).operations] == [operation.name]
    for wrong in ("MIGRATE_TENANT_PLAN", "migrateTenantPlan", "GetTenant", "\N{GREEK CAPITAL LETTER ALPHA}"):
        with pytest.raises(grpc.aio.AioRpcError, match="MigrateTenantPlan") as caught:
            await operator.ListOperations(pb.ListOperationsRequest(type=wrong))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
