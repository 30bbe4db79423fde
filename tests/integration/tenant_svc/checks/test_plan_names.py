"""Which plans a tenant is told of: the listed ones and its own, wherever plans are named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.checks.rules import FeatureCheck
from tenantmesh.tenant_svc.entitlements import reader
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.features.feature import FeatureValue, Rollout
from tenantmesh.tenant_svc.features.features import FeatureChange, Features
from tenantmesh.tenant_svc.features.rules import FeatureDraft
from tenantmesh.tenant_svc.history.history import History
from tenantmesh.tenant_svc.plans.plans import Plans, VersionRef
from tenantmesh.tenant_svc.plans.repository import plan_ids
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.integration.tenant_svc.catalog import plan_draft
from tests.integration.tenant_svc.entitled import ACTOR, Rows, decided, told_steps
from tests.integration.tenant_svc.stage import new_tenant

OFF = FeatureValue.of_boolean(False)
ON = FeatureValue.of_boolean(True)


@dataclass(frozen=True)
class Private:
    """A feature that a plan made for acme has since its second version, and that is rolled out to none of acme's plan
    and of basic."""

    flag: str
    plan_id: str
    acme: Tenant
    globex: Tenant


@pytest.fixture(scope="module")
def plans(doors: Doors) -> Plans:
    return Plans(doors)


@pytest.fixture
async def private(doors: Doors, plans: Plans, tenants: Tenants, rows: Rows, globex: Tenant) -> Private:
    flag = await rows.feature()
    plan_id = (await plans.create(plan_draft((flag, OFF)))).id
    await plans.publish(VersionRef(plan_id), ACTOR)
    acme = await tenants.create(dataclasses.replace(new_tenant(), plan_id=plan_id), None)
    await plans.update(plan_draft((flag, ON), plan_id=plan_id), "")
    await plans.publish(VersionRef(plan_id), ACTOR)
    rollout = FeatureDraft("", None, "", "", None, Rollout(0, ("basic", plan_id)))
    await Features(doors, plan_ids).change(flag, FeatureChange(rollout, frozenset({"rollout"}), ""), ACTOR)
    return Private(flag, plan_id, acme, globex)


async def available(
    doors: Doors, entitlements: EntitlementQueries, checks: Checks, tenant: Tenant, flag: str
) -> Sequence[str]:
    """The plans that have the feature, which every reader tells alike."""
    check = FeatureCheck(str(tenant.id), flag, 0)
    (batched,) = await checks.check_many([check])
    async with doors.tenant(tenant.id, read_only=True) as connection:
        loaded = await reader.load(connection, tenant.id)
    assert loaded is not None
    answers = {
        (await entitlements.get(tenant.id)).entitlements.features[flag].available_in,
        (await entitlements.standing(tenant.id)).entitlements.features[flag].available_in,
        (await checks.check(tenant.id, check))[1].entitlement.available_in,
        (await checks.explain(tenant.id, flag)).decision.entitlement.available_in,
        decided(batched).entitlement.available_in,
        loaded.features[flag].available_in,
    }
    assert len(answers) == 1, answers
    return answers.pop()


async def test_a_private_plan_is_named_to_its_tenants_only(
    doors: Doors, entitlements: EntitlementQueries, checks: Checks, plans: Plans, private: Private
) -> None:
    everybodys, own = ("enterprise",), tuple(sorted(["enterprise", private.plan_id]))
    assert await available(doors, entitlements, checks, private.globex, private.flag) == everybodys
    assert await available(doors, entitlements, checks, private.acme, private.flag) == own
    await plans.set_listed(private.plan_id, True, ACTOR)
    assert await available(doors, entitlements, checks, private.globex, private.flag) == own
    await plans.set_listed(private.plan_id, False, ACTOR)
    assert await available(doors, entitlements, checks, private.globex, private.flag) == everybodys


async def test_listing_a_plan_is_a_change_for_every_tenant(
    entitlements: EntitlementQueries, plans: Plans, private: Private
) -> None:
    before = (await entitlements.get(private.globex.id)).entitlements.revision
    await plans.set_listed(private.plan_id, True, ACTOR)
    assert (await entitlements.get(private.globex.id)).entitlements.revision > before


async def test_explanations_name_private_plans_to_operators_and_their_tenants(checks: Checks, private: Private) -> None:
    elsewhere = ", ".join(sorted(["enterprise", private.plan_id]))
    named = [f" on basic, {private.plan_id};", f"Plans that have it: {elsewhere}."]
    unnamed = [" on basic and plans that are not listed;", "Plans that have it: enterprise."]
    for tenant, every_plan, told in (
        (private.acme, False, named),
        (private.globex, False, unnamed),
        (private.globex, True, named),
    ):
        found = await checks.explain(tenant.id, private.flag, every_plan=every_plan)
        _, rollout, others, _ = told_steps(found)
        assert [rollout[rollout.index(" on ") : rollout.index(";") + 1], others] == told
        names = private.plan_id in found.recent[0].after
        assert names is (told is named), found.recent[0]


async def test_histories_name_private_plans_to_operators_and_their_tenants(history: History, private: Private) -> None:
    async def told(tenant: Tenant, **options: Any) -> dict[str, Any]:
        (changed, *_) = (await history.page(tenant.id, 0, "", **options)).items
        assert changed.feature == private.flag
        rollout: dict[str, Any] = json.loads(changed.after)["rollout"]
        return rollout

    whole = {"basis_points": 0, "plan_ids": ["basic", private.plan_id]}
    assert await told(private.acme) == whole
    assert await told(private.globex, every_plan=True) == whole
    assert await told(private.globex) == {"basis_points": 0, "plan_ids": ["basic"], "plan_ids_more": 1}
