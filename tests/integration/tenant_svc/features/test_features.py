"""Features on a real database."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import uuid
from itertools import pairwise
from typing import Any

import pytest

from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.interceptors.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from tenantmesh.tenant_svc.features.feature import FeatureDef, Period, Rollout
from tenantmesh.tenant_svc.features.features import FeatureChange, Features
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.catalog import ACTOR, feature_draft, told


def change(*paths: str, etag: str = "", **fields: Any) -> FeatureChange:
    nothing = FeatureDraft(id="", type=None, display_name="", unit="", period=None, rollout=None)
    return FeatureChange(dataclasses.replace(nothing, **fields), frozenset(paths), etag)


@pytest.mark.parametrize(
    "draft",
    [
        feature_draft(rollout=Rollout(2500, ("basic", "premium"))),
        feature_draft(type=FeatureType.STATIC, display_name="Ünïcode 👩‍👩‍👧 '; drop table features; --"),
        feature_draft(type=FeatureType.METERED, unit="call", period=Period.HOUR),
        feature_draft(type=FeatureType.GAUGE, unit="seat"),
    ],
    ids=lambda draft: draft.type.value,
)
async def test_a_feature_is_stored_as_it_was_drafted(features: Features, draft: FeatureDraft) -> None:
    made = await features.create(draft, ACTOR)
    assert (made.id, made.type, made.display_name, made.unit, made.period, made.rollout) == (
        draft.id,
        draft.type,
        draft.display_name,
        draft.unit,
        draft.period,
        draft.rollout,
    )
    assert (made.version, made.create_time) == (1, made.update_time)
    assert await features.get(draft.id) == made


async def test_an_id_is_taken_once_also_by_many_at_once(features: Features, migrated: WorkerDatabase) -> None:
    draft = feature_draft()
    outcomes = await asyncio.gather(*(features.create(draft, ACTOR) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(outcome, FeatureDef) for outcome in outcomes) == 1
    assert {each.reason for each in outcomes if isinstance(each, AlreadyExists)} == {"FEATURE_EXISTS"}
    assert len(await told(migrated, draft.id)) == 1


@pytest.mark.parametrize("name", ["no_such_feature", "Not An Id", "a\x00b", "x" * 10_000, "'; drop table features; --"])
async def test_what_is_missing_is_not_found(features: Features, name: str) -> None:
    for refused in (features.get(name), features.change(name, change(display_name="x"), ACTOR)):
        with pytest.raises(NotFound) as caught:
            await refused
        assert caught.value.reason == "FEATURE_NOT_FOUND"


async def test_an_id_is_required(features: Features) -> None:
    with pytest.raises(InvalidArgument):
        await features.get("")


async def test_a_new_rollout_is_stored_and_told_to_everybody(
    features: Features, feature: FeatureDef, migrated: WorkerDatabase
) -> None:
    changed = await features.change(feature.id, change(rollout=Rollout(500, ("basic",))), ACTOR)
    assert (changed.rollout, changed.version) == (Rollout(500, ("basic",)), 2)
    assert changed.update_time > feature.update_time
    assert changed.etag != feature.etag
    assert await features.get(feature.id) == changed
    assert (await features.change(feature.id, change("rollout"), ACTOR)).rollout is None
    events = await told(migrated, feature.id)
    assert [json.loads(after)["rollout"] for _, after in events] == [
        None,
        {"basis_points": 500, "plan_ids": ["basic"]},
        None,
    ]
    assert [before for before, _ in events] == ["", *(after for _, after in events[:-1])], "each begins where one ended"


async def test_what_changes_nothing_is_no_change(
    features: Features, feature: FeatureDef, migrated: WorkerDatabase
) -> None:
    assert await features.change(feature.id, change(display_name=feature.display_name), ACTOR) == feature
    assert len(await told(migrated, feature.id)) == 1


async def test_an_etag_must_be_the_current_one(features: Features, feature: FeatureDef) -> None:
    other = await features.create(feature_draft(), ACTOR)
    for wrong in ("x", other.etag):
        with pytest.raises(Aborted) as caught:
            await features.change(feature.id, change(display_name="New", etag=wrong), ACTOR)
        assert caught.value.reason == "ETAG_MISMATCH"
    changed = await features.change(feature.id, change(display_name="New", etag=feature.etag), ACTOR)
    assert (changed.display_name, changed.version) == ("New", 2)


async def test_of_parallel_changes_with_one_etag_one_wins(
    features: Features, feature: FeatureDef, migrated: WorkerDatabase
) -> None:
    outcomes = await asyncio.gather(
        *(
            features.change(feature.id, change(rollout=Rollout(share + 1), etag=feature.etag), ACTOR)
            for share in range(10)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Aborted) for outcome in outcomes) == 9
    assert (await features.get(feature.id)).version == 2
    assert len(await told(migrated, feature.id)) == 2


async def test_parallel_changes_without_an_etag_all_count_and_are_told_in_order(
    features: Features, feature: FeatureDef, migrated: WorkerDatabase
) -> None:
    await asyncio.gather(
        *(features.change(feature.id, change(rollout=Rollout(share + 1)), ACTOR) for share in range(10))
    )
    now = await features.get(feature.id)
    events = [(json.loads(before or "null"), json.loads(after)) for before, after in await told(migrated, feature.id)]
    assert now.version == 11
    assert all(one[1] == other[0] for one, other in pairwise(events))
    assert now.rollout is not None
    assert events[-1][1]["rollout"] == now.rollout.to_json()


async def test_what_breaks_a_rule_changes_nothing(
    features: Features, feature: FeatureDef, migrated: WorkerDatabase
) -> None:
    for bad in (change(rollout=Rollout(10_001)), change(rollout=Rollout(1, ("no_such_plan",))), change(unit="x")):
        with pytest.raises(InvalidArgument):
            await features.change(feature.id, bad, ACTOR)
    assert await features.get(feature.id) == feature
    assert len(await told(migrated, feature.id)) == 1


async def test_pages_hold_every_feature_once_by_id(features: Features) -> None:
    made = {(await features.create(feature_draft(), ACTOR)).id for _ in range(5)}
    seen: list[str] = []
    token = ""
    while True:
        page = await features.page(2, token)
        seen += [each.id for each in page.items]
        token = page.next_token
        if not token:
            break
        assert len(page.items) == 2
    assert seen == sorted(set(seen))
    assert made | {"core", "users"} <= set(seen)
    assert (await features.page(len(seen), "")).next_token == ""


async def test_a_bad_page_is_refused(features: Features) -> None:
    for size, token in ((-1, ""), (1, "garbage"), (1, str(uuid.uuid4()))):
        with pytest.raises(InvalidArgument):
            await features.page(size, token)
