"""Grants: made once per request, listed in the order in which they are used, voided for good."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import AlreadyExists, InvalidArgument, NotFound
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.entitlements import repository
from tenantmesh.tenant_svc.features.feature import Period
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.history.event import ChangeType
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tests.integration.tenant_svc.entitled import ACTOR, METER, Rows, grant_draft
from tests.integration.tenant_svc.stage import eventually

HOUR = timedelta(hours=1)


def in_hours(count: int) -> datetime:
    return datetime.now(UTC) + count * HOUR


def key(requester: str = ACTOR) -> RequestKey:
    return RequestKey(requester, uuid.uuid4())


async def test_a_grant_is_whole_when_it_is_made(acme: Tenant, globex: Tenant, grants: Grants, history: History) -> None:
    made = await grants.create(acme.id, grant_draft(30, reason="top-up"), None, ACTOR)
    grant = made.grant
    assert (grant.amount, grant.balance, made.remaining, grant.max_rollover, grant.min_rollover) == (30, 30, 30, 30, 0)
    assert abs(grant.effective_time - grant.create_time) < timedelta(minutes=1)
    assert grant.balance_period == Period.DAY.start_of(grant.effective_time)
    assert (await grants.page(acme.id, "", 0, "")).items == [made]
    assert (await grants.page(globex.id, "", 0, "")).items == []
    (change, _first_plan) = (await history.page(acme.id, 10, "")).items
    assert (change.type, change.feature, change.actor, change.reason) == (
        ChangeType.GRANT_CREATED,
        METER,
        ACTOR,
        "top-up",
    )
    assert change.after.startswith("30 requests at priority 0 from ")
    assert [each.type for each in (await history.page(globex.id, 10, "")).items] == [ChangeType.PLAN_CHANGED]


async def test_a_grant_for_later_is_whole_in_the_period_in_which_it_begins(acme: Tenant, grants: Grants) -> None:
    later = datetime.now(UTC) + timedelta(days=40)
    made = await grants.create(acme.id, grant_draft(30, effective_time=later, max_rollover=0), None, ACTOR)
    assert made.grant.balance_period == Period.DAY.start_of(later)
    assert made.remaining == 30


async def test_fifty_at_once_with_one_request_id_make_one_grant(
    acme: Tenant, globex: Tenant, grants: Grants, rows: Rows
) -> None:
    request = key()
    made = await asyncio.gather(*(grants.create(acme.id, grant_draft(), request, ACTOR) for _ in range(50)))
    assert len({each.grant.id for each in made}) == 1
    assert await rows.count("grants", acme.id) == await rows.changes(acme.id) == 1
    elsewhere = await grants.create(globex.id, grant_draft(), request, ACTOR)
    assert elsewhere.grant.id != made[0].grant.id, "request ids of two tenants never meet"
    somebody_else = await grants.create(acme.id, grant_draft(), RequestKey("another", request.request_id), "another")
    assert somebody_else.grant.id != made[0].grant.id, "nor do those of two callers"


async def test_a_repeated_request_gets_its_grant_as_it_is_now(acme: Tenant, grants: Grants) -> None:
    request, expire = key(), datetime.now(UTC) + HOUR
    draft = grant_draft(expire_time=expire)
    made = await grants.create(acme.id, draft, request, ACTOR)
    voided = await grants.void(acme.id, made.grant.id, "", ACTOR)
    assert await grants.create(acme.id, draft, request, ACTOR) == voided


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 101},
        {"priority": 1},
        {"reason": "x"},
        {"min_rollover": 1},
        {"max_rollover": 100},
        {"expire_time": in_hours(1)},
        {"effective_time": in_hours(1)},
    ],
)
async def test_a_request_id_with_other_fields_is_refused(acme: Tenant, grants: Grants, other: dict[str, Any]) -> None:
    request = key()
    await grants.create(acme.id, grant_draft(), request, ACTOR)
    with pytest.raises(AlreadyExists) as caught:
        await grants.create(acme.id, grant_draft(**other), request, ACTOR)
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_repeated_request_is_answered_though_its_times_have_passed(
    acme: Tenant, grants: Grants, rows: Rows
) -> None:
    request, soon = key(), datetime.now(UTC) + timedelta(milliseconds=300)
    draft = grant_draft(expire_time=soon)
    made = await grants.create(acme.id, draft, request, ACTOR)

    async def expired() -> bool:
        return bool(await rows.superuser.fetchval("select now() > $1", soon))

    await eventually(expired)
    again = await grants.create(acme.id, draft, request, ACTOR)
    assert (again.grant, again.remaining) == (made.grant, 0)
    with pytest.raises(InvalidArgument):
        await grants.create(acme.id, draft, key(), ACTOR)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("grant.amount", {"amount": 0, "max_rollover": 0}),
        ("grant.amount", {"amount": 2**53}),
        ("grant.feature", {"feature": "users"}),
        ("grant.feature", {"feature": "core"}),
        ("grant.priority", {"priority": -1}),
        ("grant.priority", {"priority": 1001}),
        ("grant.max_rollover", {"max_rollover": 101}),
        ("grant.max_rollover", {"max_rollover": -1, "min_rollover": -1}),
        ("grant.min_rollover", {"min_rollover": -1}),
        ("grant.min_rollover", {"min_rollover": 51, "max_rollover": 50}),
        ("grant.expire_time", {"expire_time": datetime(2020, 1, 1, tzinfo=UTC)}),
        (
            "grant.expire_time",
            {"effective_time": datetime.now(UTC) + HOUR, "expire_time": datetime.now(UTC) + HOUR / 2},
        ),
        ("grant.reason", {"reason": "x" * 501}),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_written(
    acme: Tenant, grants: Grants, rows: Rows, field: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await grants.create(acme.id, grant_draft(**fields), key(), ACTOR)
    assert field in [violation.field for violation in caught.value.violations]
    assert await rows.count("grants", acme.id) == await rows.changes(acme.id) == 0


async def test_tenants_and_features_that_are_not_there_are_not_found(acme: Tenant, grants: Grants, rows: Rows) -> None:
    for feature in ("no_such_meter", "\x00"):
        with pytest.raises(NotFound) as caught:
            await grants.create(acme.id, grant_draft(feature=feature), None, ACTOR)
        assert caught.value.reason == "FEATURE_NOT_FOUND"
    with pytest.raises(NotFound) as caught:
        await grants.create(TenantId(uuid.uuid4()), grant_draft(), None, ACTOR)
    assert caught.value.reason == "TENANT_NOT_FOUND"
    await rows.delete(acme.id)
    with pytest.raises(NotFound):
        await grants.create(acme.id, grant_draft(), None, ACTOR)


async def test_they_are_listed_in_the_order_in_which_they_are_used(acme: Tenant, grants: Grants, rows: Rows) -> None:
    now = datetime.now(UTC)

    async def make(name: str, **fields: Any) -> uuid.UUID:
        return (await grants.create(acme.id, grant_draft(reason=name, **fields), None, ACTOR)).grant.id

    await make("third", priority=1)
    await make("fourth", priority=1)
    await make("second", priority=1, expire_time=now + HOUR)
    await make("last", priority=2, effective_time=now + HOUR)
    used_up = await make("used up", priority=0)
    voided = await make("voided", priority=0)
    await make("first", priority=0)
    await rows.superuser.execute("update tenant.grants set balance = 0 where grant_id = $1", used_up)
    await grants.void(acme.id, voided, "", ACTOR)
    listed = (await grants.page(acme.id, METER, 0, "")).items
    assert [each.grant.reason for each in listed] == [
        "first",
        "second",
        "third",
        "fourth",
        "last",
        "used up",
        "voided",
    ]
    assert (await grants.page(acme.id, "users", 0, "")).items == (await grants.page(acme.id, "\x00", 0, "")).items == []
    paged, token = [], ""
    while True:
        page = await grants.page(acme.id, METER, 3, token)
        paged += page.items
        if not (token := page.next_token):
            break
    assert paged == listed


async def test_what_is_left_rolls_over_when_it_is_looked_at(acme: Tenant, grants: Grants, rows: Rows) -> None:
    made = await grants.create(acme.id, grant_draft(100, max_rollover=20, min_rollover=5), None, ACTOR)
    for left, rolled in ((90, 20), (10, 10), (0, 5)):
        await rows.superuser.execute(
            "update tenant.grants set balance = $2, balance_period = balance_period - interval '3 days' "
            "where grant_id = $1",
            made.grant.id,
            left,
        )
        (listed,) = (await grants.page(acme.id, "", 0, "")).items
        assert listed.remaining == rolled


async def test_a_voided_grant_stays_voided_and_what_was_used_stays_used(
    acme: Tenant, globex: Tenant, grants: Grants, history: History, rows: Rows
) -> None:
    made = await grants.create(acme.id, grant_draft(), None, ACTOR)
    await rows.superuser.execute("update tenant.grants set balance = 60 where grant_id = $1", made.grant.id)
    with pytest.raises(NotFound) as caught:
        await grants.void(globex.id, made.grant.id, "", ACTOR)
    assert caught.value.reason == "GRANT_NOT_FOUND"
    voided = await asyncio.gather(*(grants.void(acme.id, made.grant.id, "refunded", ACTOR) for _ in range(10)))
    assert len({each.grant.void_time for each in voided}) == 1
    assert (voided[0].remaining, voided[0].grant.balance) == (0, 60)
    (newest, *_) = (await history.page(acme.id, 10, "")).items
    assert (newest.type, newest.reason) == (ChangeType.GRANT_VOIDED, "refunded")
    assert newest.before.startswith("60 requests of 100 requests at priority 0")
    with pytest.raises(NotFound):
        await grants.void(acme.id, uuid.uuid4(), "", ACTOR)


async def test_while_entitlements_change_what_is_used_of_them_goes_on(acme: Tenant, doors: Doors, rows: Rows) -> None:
    """A lease writes rows that refer to the tenant, and must not wait for an operator's transaction."""
    async with doors.tenant(acme.id) as connection:
        assert await repository.lock_tenant(connection, acme.id) is not None
        async with asyncio.timeout(10):
            await rows.spent(acme.id, 1, 1)
