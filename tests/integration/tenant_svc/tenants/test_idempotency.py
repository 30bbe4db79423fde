"""A request that is sent again, fifty times at once and later, makes one tenant."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import AlreadyExists
from tenantmesh.tenant_svc.tenants.tenant import NewTenant, Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.integration.tenant_svc.stage import new_tenant

PARALLEL = 50


async def all_at_once(*creates: asyncio.Future[Tenant]) -> tuple[list[Tenant], list[BaseException]]:
    outcomes = await asyncio.gather(*creates, return_exceptions=True)
    made = [outcome for outcome in outcomes if isinstance(outcome, Tenant)]
    return made, [outcome for outcome in outcomes if isinstance(outcome, BaseException)]


def creating(tenants: Tenants, new: NewTenant, key: RequestKey | None) -> asyncio.Future[Tenant]:
    return asyncio.ensure_future(tenants.create(new, key))


async def test_fifty_times_the_same_request_make_one_tenant_and_all_get_it(tenants: Tenants) -> None:
    new, key = new_tenant(), RequestKey("ops", uuid.uuid4())
    made, refused = await all_at_once(*(creating(tenants, new, key) for _ in range(PARALLEL)))
    assert refused == []
    assert len(made) == PARALLEL
    assert len({tenant.id for tenant in made}) == 1
    assert await tenants.create(new, key) == made[0]


async def test_fifty_times_the_same_slug_make_one_tenant(tenants: Tenants) -> None:
    new = new_tenant()
    made, refused = await all_at_once(*(creating(tenants, new, None) for _ in range(PARALLEL)))
    assert len(made) == 1
    assert {getattr(error, "reason", error) for error in refused} == {"SLUG_TAKEN"}
    assert await tenants.find_by_name(new.slug) == made[0]


async def test_fifty_keys_for_one_slug_make_one_tenant(tenants: Tenants) -> None:
    new = new_tenant()
    keys = [RequestKey("ops", uuid.uuid4()) for _ in range(PARALLEL)]
    made, refused = await all_at_once(*(creating(tenants, new, key) for key in keys))
    assert len(made) == 1
    assert {getattr(error, "reason", error) for error in refused} == {"SLUG_TAKEN"}


async def test_a_key_with_other_fields_is_refused_and_makes_nothing(tenants: Tenants) -> None:
    key = RequestKey("ops", uuid.uuid4())
    made = await tenants.create(new_tenant(), key)
    others = [
        new_tenant(),
        NewTenant(made.slug, "Another name", made.plan_id),
        NewTenant(made.slug, made.display_name, "custom"),
    ]
    for other in others:
        with pytest.raises(AlreadyExists) as caught:
            await tenants.create(other, key)
        assert caught.value.reason == "REQUEST_ID_REUSED"
    assert await tenants.find_by_name(others[0].slug) is None


async def test_parallel_requests_with_one_key_and_different_fields_make_one_tenant(tenants: Tenants) -> None:
    key = RequestKey("ops", uuid.uuid4())
    drafts = [new_tenant() for _ in range(PARALLEL)]
    made, refused = await all_at_once(*(creating(tenants, draft, key) for draft in drafts))
    assert len(made) == 1
    assert {getattr(error, "reason", error) for error in refused} == {"REQUEST_ID_REUSED"}
    assert sum([await tenants.find_by_name(draft.slug) is not None for draft in drafts]) == 1


async def test_a_repetition_answers_with_the_tenant_as_it_is_now(tenants: Tenants) -> None:
    new, key = new_tenant(), RequestKey("ops", uuid.uuid4())
    made = await tenants.create(new, key)
    suspended = await tenants.suspend(made.id, "why", "")
    assert await tenants.create(new, key) == suspended


async def test_two_callers_may_choose_the_same_id(tenants: Tenants) -> None:
    request_id = uuid.uuid4()
    one = await tenants.create(new_tenant(), RequestKey("ops-1", request_id))
    two = await tenants.create(new_tenant(), RequestKey("ops-2", request_id))
    assert one.id != two.id


async def test_a_refused_request_may_be_sent_again_with_its_id(tenants: Tenants) -> None:
    taken, key = await tenants.create(new_tenant(), None), RequestKey("ops", uuid.uuid4())
    with pytest.raises(AlreadyExists):
        await tenants.create(new_tenant(taken.slug), key)
    assert await tenants.create(new_tenant(), key)
