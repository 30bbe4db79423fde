"""Batches over gRPC, through the chain: all or nothing, in part, repeated, refused."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import field_mask_pb2
from google.rpc import code_pb2, error_details_pb2

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2
from tenantmesh.tenant.v1 import tenant_bulk_service_pb2 as pb
from tenantmesh.tenant.v1 import tenant_pb2
from tenantmesh.tenant.v1 import tenant_service_pb2 as single
from tenantmesh.tenant.v1.tenant_bulk_service_pb2_grpc import TenantBulkServiceStub
from tenantmesh.tenant_svc.bulk import repository
from tenantmesh.tenant_svc.bulk.retention import BulkRetention
from tests.integration.tenant_svc.auth_stand_in import credential_of
from tests.integration.tenant_svc.serving import Service, info_of, refusal
from tests.integration.tenant_svc.stage import as_superuser
from tests.integration.tenant_svc.world import World
from tests.transports import rich_status

Create = single.CreateTenantRequest
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
REFUSED = (grpc.StatusCode.FAILED_PRECONDITION, "BATCH_REFUSED")


def slug() -> str:
    return f"b-{uuid.uuid4().hex[:20]}"


def new(**fields: Any) -> single.CreateTenantRequest:
    return Create(**{"slug": slug(), **fields})


def creating(*items: single.CreateTenantRequest, **fields: Any) -> pb.BatchCreateTenantsRequest:
    return pb.BatchCreateTenantsRequest(requests=items, **fields)


@pytest.fixture
async def bulk(service: Service, key: str) -> Any:
    return TenantBulkServiceStub(service.channel(key))


async def violations(call: Any) -> dict[str, str]:
    """The fields that a refused call names, and why."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    found = error_details_pb2.BadRequest()
    (detail,) = [each for each in rich_status(caught.value).details if each.Is(found.DESCRIPTOR)]
    detail.Unpack(found)
    return {each.field: each.description for each in found.field_violations}


async def created(bulk: Any, count: int, **fields: Any) -> list[tenant_pb2.Tenant]:
    answer = await bulk.BatchCreateTenants(creating(*(new(**fields) for _ in range(count))))
    return [each.tenant for each in answer.results]


async def read(service: Service, tenant_id: str) -> tenant_pb2.Tenant:
    found: tenant_pb2.Tenant = await service.operator.GetTenant(single.GetTenantRequest(id=tenant_id))
    return found


async def test_created_tenants_are_as_if_created_one_by_one(service: Service, bulk: Any, world: World) -> None:
    items = [
        new(display_name="Ä first", plan_id="premium", labels={"team": "emea"}, external_id=f"crm-{uuid.uuid4()}"),
        new(time_zone="Europe/Berlin", contacts=[tenant_pb2.Contact(display_name="Ada", email="ada@people.example")]),
        new(),
    ]
    answer = await bulk.BatchCreateTenants(creating(*items))
    for item, result in zip(items, answer.results, strict=True):
        tenant = result.tenant
        assert tenant == await read(service, tenant.id)
        assert (tenant.slug, tenant.display_name) == (item.slug, item.display_name or item.slug)
        assert (tenant.labels, tenant.external_id) == (item.labels, item.external_id)
        assert (tenant.plan_id, tenant.plan_version) == (item.plan_id or "basic", 1)
        history = await world.rows("select type, after from tenant.entitlement_events where tenant_id = $1", tenant.id)
        assert [tuple(row) for row in history] == [("PLAN_CHANGED", f"{tenant.plan_id}@1")]
        events = await world.rows("select type, slug from tenant.tenant_events where tenant_id = $1", tenant.id)
        assert [tuple(row) for row in events] == [("CREATED", item.slug)]
    single_one = await service.operator.CreateTenant(new(plan_id="premium"))
    assert single_one.plan_version == 1


async def test_a_thousand_are_created_at_once_and_one_more_is_refused(bulk: Any, world: World) -> None:
    items = [new() for _ in range(1001)]
    assert await refusal(bulk.BatchCreateTenants(creating(*items))) == INVALID
    answer = await bulk.BatchCreateTenants(creating(*items[:1000]))
    assert [each.tenant.slug for each in answer.results] == [item.slug for item in items[:1000]]
    ids = [each.tenant.id for each in answer.results]
    (row,) = await world.rows(
        "select count(*), count(distinct position) from tenant.tenants where tenant_id = any($1)", ids
    )
    assert tuple(row) == (1000, 1000)
    assert await refusal(bulk.BatchCreateTenants(creating())) == INVALID


async def test_every_fault_is_named_by_its_item_and_nothing_is_created(
    service: Service, bulk: Any, world: World
) -> None:
    taken = await service.operator.CreateTenant(new(external_id=f"crm-{uuid.uuid4()}"))
    twice = slug()
    good = new()
    items = [
        good,
        new(slug="No Slug", display_name="\n"),
        new(slug=taken.slug),
        new(external_id=taken.external_id),
        new(plan_id="no_such_plan"),
        new(slug=twice),
        new(slug=twice),
        new(parent_id=str(uuid.uuid4())),
        new(request_id=str(uuid.uuid4()), validate_only=True),
        new(region="mars"),
    ]
    found = await violations(bulk.BatchCreateTenants(creating(*items)))
    assert set(found) == {
        "requests[1].slug",
        "requests[1].display_name",
        "requests[2].slug",
        "requests[3].external_id",
        "requests[4].plan_id",
        "requests[6].slug",
        "requests[7].parent_id",
        "requests[8].request_id",
        "requests[8].validate_only",
        "requests[9].region",
    }
    assert found["requests[2].slug"].startswith("SLUG_TAKEN")
    assert found["requests[6].slug"] == "is that of requests[5] too"
    assert await refusal(bulk.BatchCreateTenants(creating(*items))) == REFUSED
    assert await refusal(bulk.BatchCreateTenants(creating(good, items[1]))) == INVALID
    assert not await world.rows("select from tenant.tenants where slug = $1", good.slug)


async def test_in_part_the_good_count_and_each_other_tells_its_own_error(service: Service, bulk: Any) -> None:
    taken = await service.operator.CreateTenant(new())
    items = [new(), new(slug="No Slug"), new(slug=taken.slug), new(plan_id="no_such_plan"), new()]
    answer = await bulk.BatchCreateTenants(creating(*items, return_partial_success=True))
    assert [each.WhichOneof("outcome") for each in answer.results] == ["tenant", "error", "error", "error", "tenant"]
    errors = [each.error for each in answer.results[1:4]]
    assert [error.code for error in errors] == [code_pb2.INVALID_ARGUMENT, code_pb2.ALREADY_EXISTS, code_pb2.NOT_FOUND]
    assert [info_of(error).reason for error in errors] == ["INVALID_FIELD", "SLUG_TAKEN", "PLAN_NOT_FOUND"]
    for index in (0, 4):
        assert await read(service, items[index].slug) == answer.results[index].tenant


async def test_a_dry_run_tells_the_same_and_keeps_nothing(service: Service, bulk: Any, world: World) -> None:
    item, (tenant,) = new(plan_id="premium"), await created(bulk, 1)
    answer = await bulk.BatchCreateTenants(creating(item, validate_only=True))
    assert (answer.results[0].tenant.slug, answer.results[0].tenant.id) == (item.slug, "")
    assert not await world.rows("select from tenant.tenants where slug = $1", item.slug)
    suspending = [single.SuspendTenantRequest(id=tenant.id, reason="unpaid")]
    tried = await bulk.BatchSuspendTenants(pb.BatchSuspendTenantsRequest(requests=suspending, validate_only=True))
    assert tried.results[0].tenant.state == tenant_pb2.TENANT_STATE_SUSPENDED
    assert await read(service, tenant.id) == tenant


async def test_a_repeated_batch_does_nothing_more(service: Service, bulk: Any, world: World) -> None:
    taken = await service.operator.CreateTenant(new())
    asked = creating(new(), new(slug=taken.slug), request_id=str(uuid.uuid4()), return_partial_success=True)
    first = await bulk.BatchCreateTenants(asked)
    again = await asyncio.gather(*(bulk.BatchCreateTenants(asked) for _ in range(5)))
    assert all(each == first for each in again)
    asked.requests[0].display_name = "Another"
    assert await refusal(bulk.BatchCreateTenants(asked)) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    suspending = [single.SuspendTenantRequest(id=first.results[0].tenant.id, reason="unpaid")]
    other = pb.BatchSuspendTenantsRequest(requests=suspending, request_id=asked.request_id)
    assert await refusal(bulk.BatchSuspendTenants(other)) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_a_batch_is_remembered_for_seven_days(bulk: Any, doors: Doors, world: World) -> None:
    old, late = [creating(new(), request_id=str(uuid.uuid4())) for _ in range(2)]
    for asked, age in ((old, timedelta(days=7, minutes=1)), (late, timedelta(days=6, hours=23))):
        await bulk.BatchCreateTenants(asked)
        aging = "update tenant.batch_requests set create_time = create_time - $2::interval where request_id = $1"
        await world.rows(aging, uuid.UUID(asked.request_id), age)
    retention = BulkRetention(doors)
    assert await retention.forget_requests() == 1
    assert await retention.forget_requests() == 0
    await bulk.BatchCreateTenants(late)
    assert await refusal(bulk.BatchCreateTenants(old)) == REFUSED, "it is a batch like any other: its slugs are taken"


async def test_a_repeated_batch_tells_that_a_tenant_was_purged_and_does_not_know_its_id(
    bulk: Any, doors: Doors, world: World
) -> None:
    asked = creating(*(new() for _ in range(3)), new(slug="A B"), request_id=str(uuid.uuid4()))
    asked.return_partial_success = True
    first = await bulk.BatchCreateTenants(asked)
    gone, others = first.results[1].tenant.id, [first.results[0], first.results[2], first.results[3]]
    async with doors.system("forget a tenant in a test") as connection:
        await repository.forget_tenant(connection, TenantId(uuid.UUID(gone)))
    again = await bulk.BatchCreateTenants(asked)
    assert info_of(again.results[1].error).reason == "TENANT_NOT_FOUND"
    assert [again.results[0], again.results[2], again.results[3]] == others
    query = "select outcomes::text from tenant.batch_requests where request_id = $1"
    (row,) = await world.rows(query, uuid.UUID(asked.request_id))
    assert gone not in row["outcomes"]


async def test_the_same_batch_many_times_at_once_has_one_effect(bulk: Any, world: World) -> None:
    asked = creating(*(new() for _ in range(20)), request_id=str(uuid.uuid4()))
    answers = await asyncio.gather(*(bulk.BatchCreateTenants(asked) for _ in range(8)))
    assert all(each == answers[0] for each in answers)
    slugs = [item.slug for item in asked.requests]
    (row,) = await world.rows("select count(*) from tenant.tenants where slug = any($1)", slugs)
    assert row["count"] == 20


async def invited(world: World, items: Any) -> list[str]:
    """The addresses in the outbox that belong to tenants with one of the slugs, in the order of the tenants."""
    query = (
        "select r.email from tenant.invitation_requests r join tenant.tenants t using (tenant_id) "
        "where t.slug = any($1) order by array_position($1, t.slug)"
    )
    return [row["email"] for row in await world.rows(query, [item.slug for item in items])]


async def test_first_administrators_are_invited_once_each_also_after_repeats(bulk: Any, world: World) -> None:
    emails = [f"ada-{number}@people.example" for number in range(3)]
    items = [*(new(first_administrator_email=email) for email in emails), new()]
    asked = creating(*items, request_id=str(uuid.uuid4()))
    await bulk.BatchCreateTenants(creating(*items, validate_only=True))
    assert await invited(world, items) == []
    answers = await asyncio.gather(*(bulk.BatchCreateTenants(asked) for _ in range(2)))
    assert all(each == answers[0] for each in answers)
    assert await invited(world, items) == emails
    asked.requests[0].first_administrator_email = "eve@people.example"
    assert await refusal(bulk.BatchCreateTenants(asked)) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_a_refused_batch_invites_nobody(bulk: Any, world: World) -> None:
    good, bad = new(first_administrator_email="ada@people.example"), new(first_administrator_email="nobody")
    found = await violations(bulk.BatchCreateTenants(creating(good, bad)))
    assert list(found) == ["requests[1].first_administrator_email"]
    assert await invited(world, [good, bad]) == []
    await bulk.BatchCreateTenants(creating(good, bad, return_partial_success=True))
    assert await invited(world, [good, bad]) == ["ada@people.example"]


def updating(*tenants: tenant_pb2.Tenant, paths: list[str], **fields: Any) -> pb.BatchUpdateTenantsRequest:
    mask = field_mask_pb2.FieldMask(paths=paths)
    items = [single.UpdateTenantRequest(id=each.id, tenant=each, update_mask=mask) for each in tenants]
    return pb.BatchUpdateTenantsRequest(requests=items, **fields)


async def test_several_are_updated_with_their_masks_and_etags(service: Service, bulk: Any, world: World) -> None:
    tenants = await created(bulk, 3)
    for number, each in enumerate(tenants):
        each.display_name, each.labels["n"] = f"Number {number}", str(number)
    answer = await bulk.BatchUpdateTenants(updating(*tenants, paths=["display_name", "labels"]))
    for before, result in zip(tenants, answer.results, strict=True):
        assert (result.tenant.display_name, result.tenant.labels) == (before.display_name, before.labels)
        assert result.tenant == await read(service, before.id)
    stale = await violations(bulk.BatchUpdateTenants(updating(*tenants, paths=["display_name"])))
    assert {field: each.split(":")[0] for field, each in stale.items()} == {
        f"requests[{number}].tenant.etag": "ETAG_MISMATCH" for number in range(3)
    }
    wrong = await violations(bulk.BatchUpdateTenants(updating(*tenants[:1], paths=["plan_id"])))
    assert list(wrong) == ["requests[0].update_mask"]


async def test_a_refused_item_undoes_the_others_and_in_part_only_itself(service: Service, bulk: Any) -> None:
    first, second, third = await created(bulk, 3)
    taken = await service.operator.CreateTenant(new())
    renamed = [first, second, third]
    for each, name in zip(renamed, (slug(), taken.slug, slug()), strict=True):
        each.slug = name
    asked = updating(*renamed, paths=["slug"])
    assert list(await violations(bulk.BatchUpdateTenants(asked))) == ["requests[1].tenant.slug"]
    assert (await read(service, first.id)).slug != first.slug
    asked.return_partial_success = True
    answer = await bulk.BatchUpdateTenants(asked)
    assert [each.WhichOneof("outcome") for each in answer.results] == ["tenant", "error", "tenant"]
    assert info_of(answer.results[1].error).reason == "SLUG_TAKEN"
    assert [(await read(service, each.id)).slug for each in (first, third)] == [first.slug, third.slug]
    assert (await read(service, second.id)).slug != taken.slug


async def test_several_are_suspended_by_id_or_slug_for_a_reason(service: Service, bulk: Any, key: str) -> None:
    first, second = await created(bulk, 2)
    items = [single.SuspendTenantRequest(id=name, reason="unpaid") for name in (first.id, second.slug)]
    answer = await bulk.BatchSuspendTenants(pb.BatchSuspendTenantsRequest(requests=items))
    for result in answer.results:
        assert result.tenant.suspension.reason == "unpaid"
        assert result.tenant.suspension.actor == credential_of(key)
    items += [
        single.SuspendTenantRequest(id=first.slug, reason="again"),
        single.SuspendTenantRequest(id="nobody-has-this", reason="x"),
        single.SuspendTenantRequest(id=str(uuid.uuid4()), reason="x"),
        single.SuspendTenantRequest(id=second.id),
    ]
    found = await violations(bulk.BatchSuspendTenants(pb.BatchSuspendTenantsRequest(requests=items)))
    assert set(found) == {"requests[2].id", "requests[3].id", "requests[4].id", "requests[5].reason"}
    assert found["requests[2].id"] == "is the tenant of requests[0] too"


async def test_several_are_deleted_parents_together_with_their_children(service: Service, bulk: Any) -> None:
    (parent,) = await created(bulk, 1)
    (child,) = await created(bulk, 1, parent_id=parent.id)
    (protected,) = await created(bulk, 1, delete_protection=True)
    deleting = [single.DeleteTenantRequest(id=each.id, reason="left") for each in (parent, protected)]
    found = await violations(bulk.BatchDeleteTenants(pb.BatchDeleteTenantsRequest(requests=deleting)))
    assert {field: each.split(":")[0] for field, each in found.items()} == {
        "requests[0].id": "TENANT_HAS_CHILDREN",
        "requests[1].id": "DELETE_PROTECTED",
    }
    both = [single.DeleteTenantRequest(id=each.id, reason="left") for each in (parent, child)]
    answer = await bulk.BatchDeleteTenants(pb.BatchDeleteTenantsRequest(requests=both))
    assert {each.tenant.state for each in answer.results} == {tenant_pb2.TENANT_STATE_DELETED}
    assert answer.results[0].tenant.deletion.reason == "left"


async def test_a_child_may_have_the_earlier_id(bulk: Any, world: World) -> None:
    """Clocks of two processes differ: a child may be made with an earlier time than its parent."""
    child, parent = await created(bulk, 2)
    below = "update tenant.tenants set parent_id = $2 where tenant_id = $1"
    await as_superuser(world.database, below, uuid.UUID(child.id), uuid.UUID(parent.id))
    both = [single.DeleteTenantRequest(id=each.id) for each in (parent, child)]
    answer = await bulk.BatchDeleteTenants(pb.BatchDeleteTenantsRequest(requests=both))
    assert {each.tenant.state for each in answer.results} == {tenant_pb2.TENANT_STATE_DELETED}


async def test_batches_over_the_same_tenants_in_other_orders_never_wait_for_each_other(
    service: Service, bulk: Any, world: World
) -> None:
    tenants = await created(bulk, 12)
    orders = [tenants, tenants[::-1], tenants[6:] + tenants[:6], tenants[::2] + tenants[1::2]]

    async def change(number: int, order: list[tenant_pb2.Tenant]) -> None:
        items = []
        for each in order:
            changed = tenant_pb2.Tenant(id=each.id, display_name=f"Round {number}")
            mask = field_mask_pb2.FieldMask(paths=["display_name"])
            items.append(single.UpdateTenantRequest(id=each.id, tenant=changed, update_mask=mask))
        await bulk.BatchUpdateTenants(pb.BatchUpdateTenantsRequest(requests=items))

    async def alone(number: int) -> None:
        await service.operator.SuspendTenant(single.SuspendTenantRequest(id=tenants[number].id, reason="meanwhile"))

    rounds = [change(number, order) for number, order in enumerate(orders)]
    await asyncio.gather(*rounds, *(alone(number) for number in range(0, 12, 3)))
    names = {(await read(service, each.id)).display_name for each in tenants}
    assert len(names) == 1, "each batch was done as a whole"


async def test_answers_that_would_be_too_large_are_abridged(service: Service, bulk: Any) -> None:
    contacts = [tenant_pb2.Contact(display_name="ü" * 200, email=f"{n}@people.example") for n in range(20)]
    tenants = [each for _ in range(5) for each in await created(bulk, 60, contacts=contacts)]
    items = [single.SuspendTenantRequest(id=each.id, reason="unpaid") for each in tenants]
    answer = await bulk.BatchSuspendTenants(pb.BatchSuspendTenantsRequest(requests=items))
    assert answer.abridged
    first = answer.results[0].tenant
    assert (first.id, first.slug, len(first.contacts)) == (tenants[0].id, tenants[0].slug, 0)
    assert first.etag == (await read(service, first.id)).etag


async def test_a_repeated_creation_of_tenants_that_have_grown_says_that_it_is_abridged(
    service: Service, bulk: Any, world: World
) -> None:
    asked = creating(*(new() for _ in range(300)), request_id=str(uuid.uuid4()))
    made = await bulk.BatchCreateTenants(asked)
    assert not made.abridged
    contacts = [tenant_pb2.Contact(display_name="ü" * 200, email=f"{n}@people.example") for n in range(20)]
    grown = [tenant_pb2.Tenant(id=each.tenant.id, contacts=contacts) for each in made.results]
    for part in (grown[:60], grown[60:120], grown[120:180], grown[180:240], grown[240:]):
        await bulk.BatchUpdateTenants(updating(*part, paths=["contacts"]))
    again = await bulk.BatchCreateTenants(asked)
    assert (again.abridged, len(again.results), len(again.results[0].tenant.contacts)) == (True, 300, 0)


async def test_operators_alone_may(service: Service) -> None:
    for token in (service.service_key("*"), service.auth.token(TenantId(uuid.uuid4()), "owner")):
        stub: Any = TenantBulkServiceStub(service.channel(token))
        code, _ = await refusal(stub.BatchCreateTenants(creating(new())))
        assert code in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND}
    narrow: Any = TenantBulkServiceStub(service.channel(service.auth.key(policy_pb2.AUDIENCE_OPERATOR, "tenants.read")))
    assert (await refusal(narrow.BatchCreateTenants(creating(new()))))[0] is grpc.StatusCode.PERMISSION_DENIED
