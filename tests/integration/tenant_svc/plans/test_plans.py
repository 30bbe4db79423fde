"""Plans on a real database: drafted, published, archived, found, listed, compared."""

from __future__ import annotations

import dataclasses

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from tenantmesh.interceptors.limits import Rate
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.features.repository import all_features
from tenantmesh.tenant_svc.plans import repository
from tenantmesh.tenant_svc.plans.difference import Direction
from tenantmesh.tenant_svc.plans.plan import PlanState, PlanVersion
from tenantmesh.tenant_svc.plans.plans import Plans, VersionRef
from tenantmesh.tenant_svc.plans.repository import plan_ids
from tenantmesh.tenant_svc.plans.rules import RateDraft
from tenantmesh.tenant_svc.schema import OUTAGE
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.catalog import ACTOR, ON, feature_draft, plan_draft, told

SEEDS = {"basic": (1000, 100, 10**10), "premium": (10_000, 1000, 10**11), "enterprise": (100_000, 10_000, 10**12)}


async def test_every_installation_begins_with_four_plans(doors: Doors, plans: Plans) -> None:
    async with doors.system("the test of the seeds", read_only=True) as connection:
        catalog = await all_features(connection)
        published = {plan.id: plan for plan in await repository.published(connection)}
    assert {"core", "biometric_auth", "api_requests", "users", "storage_bytes"} <= set(catalog)
    for name, limits in SEEDS.items():
        given = [published[name].value_of(catalog[each]) for each in ("api_requests", "users", "storage_bytes")]
        assert given == [FeatureValue.of_limit(limit) for limit in limits]
    passkeys = catalog["biometric_auth"]
    assert {name for name in (*SEEDS, "custom") if published[name].value_of(passkeys) == ON} == {
        "premium",
        "enterprise",
    }
    assert published["custom"].value_of(catalog["users"]) == FeatureValue.of_limit(None)
    assert await plans.get(VersionRef("basic")) == published["basic"] == await plans.get(VersionRef("basic", 1))
    assert all(published[name].listed for name in (*SEEDS, "custom"))


async def test_a_plan_is_stored_as_it_was_drafted(plans: Plans, features: Features) -> None:
    theme = await features.create(feature_draft(type=FeatureType.STATIC), ACTOR)
    draft = plan_draft(
        ("core", ON),
        ("users", FeatureValue.of_limit(2**53 - 1)),
        ("storage_bytes", FeatureValue.of_limit(None)),
        (theme.id, FeatureValue.of_static({"Ünïcode": [1, 2.5, None, True, "\\u0000"]})),
        rates=(RateDraft("api", 0.1, 3),),
        billing_period=Period.DAY,
    )
    made = await plans.create(draft)
    assert (made.id, made.version, made.state, made.revision) == (draft.id, 1, PlanState.DRAFT, 1)
    assert (made.features, made.all_features) == (draft.values, False)
    assert made.rates == {"api": Rate(0.1, 3)}
    assert (made.billing_period, made.publish_time, made.archive_time) == (Period.DAY, None, None)
    assert draft.matches(made)
    assert await plans.get(VersionRef(draft.id, 1)) == made
    with pytest.raises(AlreadyExists) as caught:
        await plans.create(draft)
    assert caught.value.reason == "PLAN_EXISTS"


async def test_a_draft_is_replaced_and_a_published_version_never_changes(plans: Plans) -> None:
    draft = plan_draft()
    first = await plans.create(draft)
    replaced = await plans.update(dataclasses.replace(draft, display_name="Renamed"), first.etag)
    assert (replaced.version, replaced.revision, replaced.display_name) == (1, 2, "Renamed")
    published = await plans.publish(VersionRef(draft.id), ACTOR)
    assert (published.version, published.state, published.display_name) == (1, PlanState.PUBLISHED, "Renamed")
    assert published.publish_time is not None
    second = await plans.update(dataclasses.replace(draft, display_name="Again"), published.etag)
    assert (second.version, second.state, second.revision) == (2, PlanState.DRAFT, 1)
    assert await plans.get(VersionRef(draft.id, 1)) == published == await plans.get(VersionRef(draft.id))
    assert len({first.etag, replaced.etag, published.etag, second.etag}) == 4


async def test_a_plan_is_private_until_it_is_listed_in_all_its_versions(plans: Plans, migrated: WorkerDatabase) -> None:
    draft = plan_draft()
    first = await plans.create(draft)
    assert not first.listed
    published = await plans.publish(VersionRef(draft.id), ACTOR)
    listed = await plans.set_listed(draft.id, True, ACTOR)
    assert listed == dataclasses.replace(published, listed=True), "nothing else of it changes"
    assert listed.etag == published.etag, "what was reviewed is what it was"
    second = await plans.update(draft, published.etag)
    assert (second.version, second.listed) == (2, True), "a draft that does not say so unlists nothing"
    assert await plans.set_listed(draft.id, True, ACTOR) == second, "a request may be repeated"
    assert [each.listed for each in await everything(plans, 9, all_versions=True, plan_id=draft.id)] == [True, True]
    assert not (await plans.set_listed(draft.id, False, ACTOR)).listed
    assert [each.listed for each in await everything(plans, 9, all_versions=True, plan_id=draft.id)] == [False, False]
    assert (await plans.get(VersionRef("basic"))).listed, "another plan stays as it is"
    assert (await told(migrated, plan_id=draft.id))[1:] == [
        (f"{draft.id} not listed", f"{draft.id} listed"),
        (f"{draft.id} listed", f"{draft.id} not listed"),
    ]


async def test_a_new_plan_may_be_listed_at_once_and_an_update_lists_none(plans: Plans) -> None:
    draft = plan_draft(listed=True)
    assert (await plans.create(draft)).listed
    assert (await plans.update(draft, "")).listed, "it says what is so"
    private = plan_draft()
    await plans.create(private)
    with pytest.raises(InvalidArgument) as caught:
        await plans.update(dataclasses.replace(private, listed=True), "")
    assert [each.field for each in caught.value.violations] == ["plan.listed"]


async def test_a_draft_that_stays_the_same_is_left_as_it_is(plans: Plans) -> None:
    draft = plan_draft(rates=(RateDraft("api", 50, 100),))
    made = await plans.create(draft)
    assert await plans.update(draft, made.etag) == made
    assert await plans.update(draft, "") == made


async def test_publishing_moves_new_tenants_on_and_is_told_once(plans: Plans, migrated: WorkerDatabase) -> None:
    draft = plan_draft()
    await plans.create(draft)
    first = await plans.publish(VersionRef(draft.id), ACTOR)
    assert await plans.publish(VersionRef(draft.id, 1), ACTOR) == first, (
        "a request that names a version may be repeated"
    )
    await plans.update(draft, "")
    second = await plans.publish(VersionRef(draft.id, 2), ACTOR)
    assert await plans.get(VersionRef(draft.id)) == second
    assert await told(migrated, plan_id=draft.id) == [
        ("", f"{draft.id} version 1"),
        (f"{draft.id} version 1", f"{draft.id} version 2"),
    ]


async def test_what_was_reviewed_is_what_is_published(plans: Plans) -> None:
    draft = plan_draft()
    reviewed = await plans.create(draft)
    changed = await plans.update(dataclasses.replace(draft, display_name="Changed since"), "")
    with pytest.raises(Aborted) as caught:
        await plans.publish(VersionRef(draft.id), ACTOR, reviewed.etag)
    assert caught.value.reason == "ETAG_MISMATCH"
    assert await plans.get(VersionRef(draft.id, 1)) == changed
    assert (await plans.publish(VersionRef(draft.id), ACTOR, changed.etag)).state is PlanState.PUBLISHED


async def test_publishing_again_does_not_publish_the_draft_that_was_begun_meanwhile(plans: Plans) -> None:
    draft = plan_draft()
    made = await plans.create(draft)
    await plans.publish(VersionRef(draft.id), ACTOR, made.etag)
    unfinished = await plans.update(dataclasses.replace(draft, display_name="Unfinished"), "")
    with pytest.raises(Aborted):
        await plans.publish(VersionRef(draft.id), ACTOR, made.etag)
    assert await plans.get(VersionRef(draft.id, 2)) == unfinished


async def test_archiving_closes_a_version_and_the_one_before_takes_its_place(
    plans: Plans, migrated: WorkerDatabase
) -> None:
    draft = plan_draft()
    await plans.create(draft)
    first = await plans.publish(VersionRef(draft.id), ACTOR)
    await plans.update(draft, "")
    second = await plans.publish(VersionRef(draft.id), ACTOR)
    archived = await plans.archive(VersionRef(draft.id, 2), ACTOR)
    assert (archived.state, archived.publish_time) == (PlanState.ARCHIVED, second.publish_time)
    assert archived.archive_time is not None
    assert await plans.archive(VersionRef(draft.id, 2), ACTOR) == archived
    assert await plans.get(VersionRef(draft.id)) == first
    with pytest.raises(FailedPrecondition) as caught:
        await plans.publish(VersionRef(draft.id, 2), ACTOR)
    assert caught.value.reason == "PLAN_ARCHIVED"
    with pytest.raises(FailedPrecondition):
        await plans.publish(VersionRef(draft.id), ACTOR)
    await plans.archive(VersionRef(draft.id, 1), ACTOR)
    with pytest.raises(NotFound) as closed:
        await plans.get(VersionRef(draft.id))
    assert closed.value.reason == "PLAN_NOT_FOUND"
    assert (await told(migrated, plan_id=draft.id))[-2:] == [
        (f"{draft.id} version 2", f"{draft.id} version 1"),
        (f"{draft.id} version 1", ""),
    ]
    third = await plans.update(draft, "")
    assert (third.version, (await plans.publish(VersionRef(draft.id), ACTOR)).version) == (3, 3)


async def test_an_older_version_and_a_draft_are_archived_without_a_word_to_tenants(
    plans: Plans, migrated: WorkerDatabase
) -> None:
    draft = plan_draft()
    await plans.create(draft)
    await plans.publish(VersionRef(draft.id), ACTOR)
    await plans.update(draft, "")
    await plans.publish(VersionRef(draft.id), ACTOR)
    await plans.update(draft, "")
    before = await told(migrated, plan_id=draft.id)
    thrown_away = await plans.archive(VersionRef(draft.id, 3), ACTOR)
    assert (thrown_away.state, thrown_away.publish_time) == (PlanState.ARCHIVED, None)
    await plans.archive(VersionRef(draft.id, 1), ACTOR)
    assert await told(migrated, plan_id=draft.id) == before
    assert (await plans.get(VersionRef(draft.id))).version == 2
    assert (await plans.update(draft, thrown_away.etag)).version == 4


async def test_an_etag_must_be_that_of_the_newest_version(plans: Plans) -> None:
    draft = plan_draft()
    made = await plans.create(draft)
    published = await plans.publish(VersionRef(draft.id), ACTOR)
    other = await plans.create(plan_draft())
    for wrong in ("x", made.etag, other.etag):
        with pytest.raises(Aborted) as caught:
            await plans.update(draft, wrong)
        assert caught.value.reason == "ETAG_MISMATCH"
    drafted = await plans.update(draft, published.etag)
    with pytest.raises(Aborted):
        await plans.update(dataclasses.replace(draft, display_name="x"), published.etag)
    assert (await plans.update(dataclasses.replace(draft, display_name="x"), drafted.etag)).revision == 2


@pytest.mark.parametrize("name", ["no_such_plan", "Not An Id", "a\x00b", "x" * 10_000])
async def test_what_is_missing_is_not_found(plans: Plans, name: str) -> None:
    for refused in (
        plans.get(VersionRef(name)),
        plans.get(VersionRef(name, 1)),
        plans.update(plan_draft(plan_id=name), ""),
        plans.publish(VersionRef(name), ACTOR),
        plans.archive(VersionRef(name, 1), ACTOR),
        plans.difference(VersionRef(name), VersionRef("basic")),
        plans.difference(VersionRef("basic"), VersionRef(name)),
    ):
        with pytest.raises(NotFound) as caught:
            await refused
        assert caught.value.reason == "PLAN_NOT_FOUND"


@pytest.mark.parametrize("version", [2, -1, 2**31 - 1])
async def test_a_version_that_is_missing_is_not_found(plans: Plans, version: int) -> None:
    draft = plan_draft()
    await plans.create(draft)
    for refused in (
        plans.get(VersionRef(draft.id, version)),
        plans.get(VersionRef(draft.id)),  # nothing is published
        plans.publish(VersionRef(draft.id, version), ACTOR),
        plans.archive(VersionRef(draft.id, version), ACTOR),
        plans.difference(VersionRef(draft.id, 1), VersionRef("", version)),
    ):
        with pytest.raises(NotFound):
            await refused


async def test_what_is_required_is_named(plans: Plans) -> None:
    for refused, field in (
        (plans.get(VersionRef("")), "id"),
        (plans.update(plan_draft(plan_id="x"), ""), None),
        (plans.archive(VersionRef("basic"), ACTOR), "version"),
        (plans.publish(VersionRef(""), ACTOR), "id"),
        (plans.page(1, "", all_versions=False, plan_id="Not An Id"), "plan_id"),
    ):
        with pytest.raises(InvalidArgument if field else NotFound) as caught:
            await refused
        assert not field or [each.field for each in caught.value.violations] == [field]


async def test_a_draft_that_breaks_a_rule_is_not_stored(plans: Plans) -> None:
    draft = plan_draft(("no_such_feature", ON), ("users", ON))
    for refused in (plans.create(draft), plans.update(dataclasses.replace(draft, id="basic"), "")):
        with pytest.raises(InvalidArgument) as caught:
            await refused
        assert [each.field for each in caught.value.violations] == [
            "plan.features[0].feature",
            "plan.features[1].value",
        ]
    with pytest.raises(NotFound):
        await plans.get(VersionRef(draft.id, 1))


async def everything(plans: Plans, size: int, *, all_versions: bool, plan_id: str = "") -> list[PlanVersion]:
    seen: list[PlanVersion] = []
    token = ""
    while True:
        page = await plans.page(size, token, all_versions=all_versions, plan_id=plan_id)
        seen += page.items
        token = page.next_token
        if not token:
            return seen
        assert len(page.items) == size


async def test_pages_hold_every_version_once_by_plan_and_version(plans: Plans) -> None:
    draft = plan_draft()
    await plans.create(draft)
    for _ in range(3):
        await plans.publish(VersionRef(draft.id), ACTOR)
        await plans.update(draft, "")
    for size in (1, 2, 3, 1000):
        found = [(each.id, each.version) for each in await everything(plans, size, all_versions=True)]
        assert found == sorted(set(found))
        assert [version for plan_id, version in found if plan_id == draft.id] == [1, 2, 3, 4]
        newest = [(each.id, each.version) for each in await everything(plans, size, all_versions=False)]
        assert newest == sorted(set(newest))
        assert len({plan_id for plan_id, _ in newest}) == len(newest)
        assert {("basic", 1), ("custom", 1), ("enterprise", 1), ("premium", 1), (draft.id, 3)} <= set(newest)
    mine = await everything(plans, 3, all_versions=True, plan_id=draft.id)
    assert [each.version for each in mine] == [1, 2, 3, 4]
    assert [each.version for each in await everything(plans, 3, all_versions=False, plan_id=draft.id)] == [3]
    assert await everything(plans, 3, all_versions=True, plan_id="no_such_plan") == []


async def test_versions_are_compared(plans: Plans, feature: FeatureDef) -> None:
    draft = plan_draft(("users", FeatureValue.of_limit(5)))
    await plans.create(draft)
    await plans.publish(VersionRef(draft.id), ACTOR)
    for missing in (plans.difference(VersionRef(draft.id), VersionRef("")), plans.publish(VersionRef(draft.id), ACTOR)):
        with pytest.raises(FailedPrecondition) as caught:
            await missing
        assert (caught.value.reason, caught.value.metadata["version"]) == ("PLAN_HAS_NO_DRAFT", "1")
    await plans.update(plan_draft(("users", FeatureValue.of_limit(9)), (feature.id, ON), plan_id=draft.id), "")
    forwards = await plans.difference(VersionRef(draft.id), VersionRef(""))
    assert {each.feature: each.direction for each in forwards.features} == {
        "users": Direction.MORE,
        feature.id: Direction.MORE,
    }
    assert forwards == await plans.difference(VersionRef(draft.id, 1), VersionRef(draft.id, 2))
    backwards = await plans.difference(VersionRef(draft.id, 2), VersionRef("", 1))
    assert {each.direction for each in backwards.features} == {Direction.LESS}
    other = await plans.difference(VersionRef(draft.id), VersionRef("premium"))
    assert {each.feature for each in other.features} >= {"core", "biometric_auth", "users"}
    assert [each.name for each in other.rates] == ["api"]
    every = await plans.difference(VersionRef(draft.id), VersionRef("enterprise"))
    assert feature.id in {each.feature for each in every.features}, "enterprise has all features, also this new one"


async def test_without_a_database_every_use_case_is_unavailable() -> None:
    nowhere = DatabaseSettings.model_validate(
        {"url": "postgresql://x:y@127.0.0.1:1/x", "system_url": "postgresql://x:y@127.0.0.1:1/x"}
    )
    doors = Doors(Database(nowhere, schema="tenant"), OUTAGE)
    plans, features = Plans(doors), Features(doors, plan_ids)
    for refused in (
        plans.create(plan_draft()),
        plans.page(1, "", all_versions=True, plan_id=""),
        plans.publish(VersionRef("basic"), ACTOR),
        plans.set_listed("basic", True, ACTOR),
        features.create(feature_draft(), ACTOR),
        features.page(1, ""),
    ):
        with pytest.raises(Unavailable):
            await refused
