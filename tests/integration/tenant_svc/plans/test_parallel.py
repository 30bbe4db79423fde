"""The catalog changed by several at once, and by some that die on the way."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import Aborted, AlreadyExists, FailedPrecondition, Unavailable
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.catalog_log.repository import record_catalog
from tenantmesh.tenant_svc.features import repository as feature_repository
from tenantmesh.tenant_svc.features.feature import FeatureDef, Rollout
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.plans import repository
from tenantmesh.tenant_svc.plans.plan import PlanState, PlanVersion
from tenantmesh.tenant_svc.plans.plans import Plans, VersionRef
from tenantmesh.tenant_svc.positions import lock_log
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.catalog import ACTOR, feature_draft, plan_draft, told, until_waiting
from tests.integration.tenant_svc.features.test_features import change
from tests.integration.tenant_svc.stage import as_superuser

PARALLEL = 10


async def versions(catalog: Plans, plan_id: str) -> list[tuple[int, PlanState]]:
    page = await catalog.page(1000, "", all_versions=True, plan_id=plan_id)
    return [(each.version, each.state) for each in page.items]


async def test_a_plan_is_created_once(plans: Plans) -> None:
    draft = plan_draft()
    outcomes = await asyncio.gather(*(plans.create(draft) for _ in range(PARALLEL)), return_exceptions=True)
    assert sum(isinstance(each, PlanVersion) for each in outcomes) == 1
    assert {each.reason for each in outcomes if isinstance(each, AlreadyExists)} == {"PLAN_EXISTS"}


async def test_many_publications_are_one(plans: Plans, migrated: WorkerDatabase) -> None:
    draft = plan_draft()
    await plans.create(draft)
    outcomes = await asyncio.gather(*(plans.publish(VersionRef(draft.id, 1), ACTOR) for _ in range(PARALLEL)))
    assert all(each == outcomes[0] for each in outcomes)
    assert len(await told(migrated, plan_id=draft.id)) == 1


async def test_a_publication_waits_for_the_one_under_way(plans: Plans, doors: Doors, migrated: WorkerDatabase) -> None:
    draft = plan_draft()
    await plans.create(draft)
    async with doors.system("hold a plan for a test") as connection:
        assert await repository.lock_plan(connection, draft.id)
        publishing = asyncio.create_task(plans.publish(VersionRef(draft.id, 1), ACTOR))
        await until_waiting(migrated, 1)
        newest = await repository.newest(connection, draft.id)
        assert newest is not None
        first = await repository.publish(connection, newest)
    assert await publishing == first


async def test_of_parallel_updates_with_one_etag_one_wins(plans: Plans) -> None:
    draft = plan_draft()
    made = await plans.create(draft)
    outcomes = await asyncio.gather(
        *(plans.update(dataclasses.replace(draft, display_name=f"Name {each}"), made.etag) for each in range(PARALLEL)),
        return_exceptions=True,
    )
    won = [each for each in outcomes if isinstance(each, PlanVersion)]
    assert (len(won), sum(isinstance(each, Aborted) for each in outcomes)) == (1, PARALLEL - 1)
    assert await plans.get(VersionRef(draft.id, 1)) == won[0]


async def test_parallel_updates_make_one_draft(plans: Plans) -> None:
    draft = plan_draft()
    await plans.create(draft)
    await plans.publish(VersionRef(draft.id), ACTOR)
    await asyncio.gather(
        *(plans.update(dataclasses.replace(draft, display_name=f"Name {each}"), "") for each in range(PARALLEL))
    )
    assert await versions(plans, draft.id) == [(1, PlanState.PUBLISHED), (2, PlanState.DRAFT)]
    assert (await plans.get(VersionRef(draft.id, 2))).revision == PARALLEL


async def test_drafts_publications_and_archivings_leave_a_history_without_gaps(
    plans: Plans, migrated: WorkerDatabase
) -> None:
    draft = plan_draft()
    await plans.create(draft)

    async def busy(number: int) -> None:
        for version in range(1, 6):
            await plans.update(dataclasses.replace(draft, display_name=f"Name {number} {version}"), "")
            try:
                await plans.publish(VersionRef(draft.id), ACTOR)
                await plans.archive(VersionRef(draft.id, version), ACTOR)
            except FailedPrecondition:  # another has archived what this one was to publish
                continue

    await asyncio.gather(*(busy(number) for number in range(4)))
    found = await versions(plans, draft.id)
    assert [version for version, _ in found] == list(range(1, len(found) + 1))
    assert sum(state is PlanState.DRAFT for _, state in found) <= 1
    events = await told(migrated, plan_id=draft.id)
    assert all(one[1] == other[0] for one, other in pairwise(events))
    newest = max((version for version, state in found if state is PlanState.PUBLISHED), default=None)
    assert events[-1][1] == ("" if newest is None else f"{draft.id} version {newest}")


async def test_whatever_is_drafted_meanwhile_all_versions_are_listed_or_none(plans: Plans) -> None:
    draft = plan_draft()
    await plans.create(draft)

    async def busy(number: int) -> None:
        for turn in range(6):
            if number % 2:
                await plans.set_listed(draft.id, turn % 2 == 0, ACTOR)
            else:
                with contextlib.suppress(FailedPrecondition):  # the other one has published the draft
                    await plans.publish(VersionRef(draft.id), ACTOR)
                await plans.update(draft, "")

    await asyncio.gather(*(busy(number) for number in range(4)))
    page = await plans.page(100, "", all_versions=True, plan_id=draft.id)
    assert len(page.items) > 2
    assert len({each.listed for each in page.items}) == 1


async def kill(migrated: WorkerDatabase) -> None:
    """Ends every connection of the system door, as the death of the process that holds it would."""
    await as_superuser(
        migrated,
        """select pg_terminate_backend(pid) from pg_stat_activity
        where usename = 'tenant_directory' and datname = current_database()""",
    )


def dying(migrated: WorkerDatabase) -> Callable[..., Awaitable[None]]:
    async def die(_connection: Connection, **_event: str) -> None:
        await kill(migrated)

    return die


async def test_who_dies_before_the_end_has_changed_nothing(
    plans: Plans, features: Features, feature: FeatureDef, migrated: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when all is written but the event: neither is there, and the same request then does the whole."""
    draft, new = plan_draft(), feature_draft()
    await plans.create(draft)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: plans.publish(VersionRef(draft.id), ACTOR),
        lambda: features.change(feature.id, change(rollout=Rollout(1)), ACTOR),
        lambda: features.create(new, ACTOR),
    ]
    with monkeypatch.context() as patched:
        for module in ("plans.plans", "features.features"):
            patched.setattr(f"tenantmesh.tenant_svc.{module}.record_catalog", dying(migrated))
        for call in calls:
            with pytest.raises(Unavailable):
                await call()
    assert await versions(plans, draft.id) == [(1, PlanState.DRAFT)]
    assert await features.get(feature.id) == feature
    assert await told(migrated, plan_id=draft.id) == []
    assert await told(migrated, new.id) == []
    for call in calls:
        await call()
    assert len(await told(migrated, plan_id=draft.id)) == 1
    assert [json.loads(after)["rollout"] for _, after in await told(migrated, feature.id)][1:] == [
        {"basis_points": 1, "plan_ids": []}
    ]
    assert len(await told(migrated, new.id)) == 1


async def test_positions_follow_commit_order_in_the_catalog_too(
    features: Features, feature: FeatureDef, doors: Doors, migrated: WorkerDatabase
) -> None:
    """A change that has drawn its position and commits late: others wait, and come after it."""
    other = await features.create(feature_draft(), ACTOR)
    async with doors.system("change a feature slowly for a test") as connection:
        held = await feature_repository.locked(connection, feature.id)
        assert held is not None
        await lock_and_record(connection, held)
        quick = asyncio.create_task(features.change(other.id, change(rollout=Rollout(2)), ACTOR))
        await until_waiting(migrated, 1)
        assert not quick.done()
    await quick
    assert await order(migrated, feature.id) < await order(migrated, other.id)


async def lock_and_record(connection: Connection, feature: FeatureDef) -> None:
    await lock_log(connection)
    await record_catalog(connection, feature=feature.id, actor=ACTOR, before="", after="late")


async def order(migrated: WorkerDatabase, feature_id: str) -> int:
    tag = await as_superuser(
        migrated,
        """select from tenant.catalog_events where position <=
        (select max(position) from tenant.catalog_events where feature_id = $1)""",
        feature_id,
    )
    return int(tag.rpartition(" ")[2])
