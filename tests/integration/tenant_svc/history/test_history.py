"""The history of a tenant's entitlements, page by page."""

from __future__ import annotations

import uuid

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.pages import id_tokens
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.errors import InvalidArgument
from tenantmesh.tenant_svc.catalog_log.repository import record_catalog
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.features.feature import FeatureValue, Rollout
from tenantmesh.tenant_svc.features.features import FeatureChange, Features
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tenantmesh.tenant_svc.history.event import ChangeType, EntitlementEvent
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.plans.repository import plan_ids
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.integration.tenant_svc.entitled import ACTOR, Rows, override_draft
from tests.integration.tenant_svc.stage import new_tenant


async def in_pages(history: History, tenant: Tenant, size: int) -> list[EntitlementEvent]:
    """The whole history, read in pages of the size."""
    told, token = list[EntitlementEvent](), ""
    while True:
        page = await history.page(tenant.id, size, token)
        assert len(page.items) <= size
        told += page.items
        token = page.next_token
        if not token:
            return told


async def test_a_history_begins_with_the_first_plan(tenants: Tenants, history: History) -> None:
    made = await tenants.create(new_tenant(), RequestKey(ACTOR, uuid.uuid4()), ACTOR)
    (first,) = (await history.page(made.id, 0, "")).items
    assert (first.type, first.before, first.after, first.actor) == (ChangeType.PLAN_CHANGED, "", "premium@1", ACTOR)
    assert (first.plan_id, first.plan_version, first.feature) == ("premium", 1, "")


async def test_a_rollout_that_takes_a_feature_away_is_told(
    acme: Tenant, entitlements: EntitlementQueries, history: History, doors: Doors, rows: Rows
) -> None:
    flag = await rows.feature(share=10_000)
    assert (await entitlements.get(acme.id)).entitlements.features[flag].enabled
    draft = FeatureDraft("", None, "", "", None, Rollout(0))
    await Features(doors, plan_ids).change(flag, FeatureChange(draft, frozenset({"rollout"}), ""), ACTOR)
    assert not (await entitlements.get(acme.id)).entitlements.features[flag].enabled
    (last, _first_plan) = (await history.page(acme.id, 0, "")).items
    assert (last.type, last.feature, last.actor) == (ChangeType.CATALOG_CHANGED, flag, ACTOR)
    assert ('"basis_points": 10000' in last.before, '"basis_points": 0' in last.after) == (True, True)


async def test_pages_over_the_tenants_changes_and_everybodys_have_no_seam(
    doors: Doors, acme: Tenant, globex: Tenant, overrides: Overrides, history: History
) -> None:
    for number in range(12):
        if number % 3:
            await overrides.set(acme.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
            await overrides.set(globex.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
        else:
            await catalog_changes(doors, "core")
    whole = (await history.page(acme.id, 0, "")).items
    assert [each.tenant_id for each in whole] == [
        None if number % 3 == 0 else acme.id for number in range(11, -1, -1)
    ] + [acme.id]
    for size in (1, 2, 5, 12, 13):
        assert await in_pages(history, acme, size) == whole


async def test_a_history_has_nothing_from_before_the_tenant_and_nothing_of_other_plans(
    doors: Doors, tenants: Tenants, history: History
) -> None:
    await catalog_changes(doors, "core")
    made = await tenants.create(new_tenant(), None)
    await catalog_changes(doors, "", after="plan_of_another_customer version 2")
    assert [each.type for each in (await history.page(made.id, 0, "")).items] == [ChangeType.PLAN_CHANGED]


async def catalog_changes(doors: Doors, feature: str, after: str = '{"rollout": null}') -> None:
    async with doors.system("the catalog changes") as connection:
        await lock_log(connection)
        await record_catalog(connection, feature=feature, actor=ACTOR, before="", after=after)


async def test_pages_tell_every_change_once_newest_first(
    acme: Tenant, globex: Tenant, overrides: Overrides, history: History
) -> None:
    for number in range(7):
        for tenant in (acme, globex):
            await overrides.set(tenant.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
    whole = (await history.page(acme.id, 0, "")).items
    assert [each.after for each in whole] == [
        *(f"{number} user{'s' * (number != 1)}" for number in reversed(range(7))),
        "premium@1",
    ]
    assert [each.position for each in whole] == sorted((each.position for each in whole), reverse=True)
    for size in (1, 2, 3, 8, 9):
        assert await in_pages(history, acme, size) == whole


async def test_a_change_between_two_pages_moves_nothing(acme: Tenant, overrides: Overrides, history: History) -> None:
    for number in range(4):
        await overrides.set(acme.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
    first = await history.page(acme.id, 2, "")
    await overrides.set(acme.id, override_draft("users", FeatureValue.of_limit(9)), ACTOR)
    second = await history.page(acme.id, 2, first.next_token)
    assert [each.after for each in [*first.items, *second.items]] == ["3 users", "2 users", "1 user", "0 users"]


async def test_another_tenants_token_is_refused(
    acme: Tenant, globex: Tenant, overrides: Overrides, history: History
) -> None:
    for tenant, number in ((globex, 1), (acme, 2), (acme, 3)):
        await overrides.set(tenant.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
    token = (await history.page(acme.id, 1, "")).next_token
    assert {each.tenant_id for each in (await history.page(acme.id, 10, token)).items} == {acme.id}
    with pytest.raises(InvalidArgument, match="same tenant"):
        await history.page(globex.id, 10, token)


@pytest.mark.parametrize(
    ("size", "token"), [(-1, ""), (0, "garbage"), (0, id_tokens(b"tm.feats").token("core")), (0, "é")]
)
async def test_a_bad_page_is_refused(acme: Tenant, history: History, size: int, token: str) -> None:
    with pytest.raises(InvalidArgument):
        await history.page(acme.id, size, token)
