"""The catalog's use cases on a real database, and plans and features of each test's own: tests share the catalog."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.entitlements import FeatureType
from tenantmesh.runtime.database import connect
from tenantmesh.tenant_svc.features.feature import FeatureDef, FeatureValue, Period
from tenantmesh.tenant_svc.features.features import Features
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tenantmesh.tenant_svc.plans.plans import Plans
from tenantmesh.tenant_svc.plans.repository import plan_ids
from tenantmesh.tenant_svc.plans.rules import PlanDraft
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import eventually

ACTOR = "tmk_operator"
ON = FeatureValue.of_boolean(True)


@pytest.fixture(scope="session")
def plans(doors: Doors) -> Plans:
    return Plans(doors)


@pytest.fixture(scope="session")
def features(doors: Doors) -> Features:
    return Features(doors, plan_ids)


Value = tuple[str, FeatureValue]


def plan_draft(*features: Value, plan_id: str = "", **fields: Any) -> PlanDraft:
    """A plan that nobody else has."""
    made = PlanDraft(
        id=plan_id or f"plan_{uuid.uuid4().hex[:20]}",
        display_name="A plan of a test",
        features=features or (("users", FeatureValue.of_limit(5)),),
        all_features=False,
        rates=(),
        billing_period=Period.MONTH,
    )
    return dataclasses.replace(made, **fields)


def feature_draft(**fields: Any) -> FeatureDraft:
    """A BOOLEAN feature that nobody else has."""
    made = FeatureDraft(
        id=f"f_{uuid.uuid4().hex[:20]}",
        type=FeatureType.BOOLEAN,
        display_name="A feature of a test",
        unit="",
        period=None,
        rollout=None,
    )
    return dataclasses.replace(made, **fields)


@pytest.fixture
async def feature(features: Features) -> FeatureDef:
    return await features.create(feature_draft(), ACTOR)


async def told(database: WorkerDatabase, feature_id: str | None = None, plan_id: str = "") -> Sequence[tuple[str, str]]:
    """What the log says of the feature, or of the plan: before and after, oldest first."""
    connection = await connect(database.admin_url)
    try:
        rows = await connection.fetch(
            """select before, after from tenant.catalog_events
            where case when $1 <> '' then feature_id = $1
                       else feature_id = '' and $2 in (split_part(before, ' ', 1), split_part(after, ' ', 1)) end
            order by position""",
            feature_id or "",
            plan_id,
        )
    finally:
        await connection.close()
    return [(row["before"], row["after"]) for row in rows]


async def until_waiting(database: WorkerDatabase, count: int) -> None:
    """Returns once so many transactions wait for a lock."""
    connection = await connect(database.admin_url)

    async def waiting() -> bool:
        found = await connection.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        return int(found) >= count

    try:
        await eventually(waiting)
    finally:
        await connection.close()
