"""Checks, one by one and many at once: what is used, what lies ready, and nobody else's numbers."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import InvalidArgument, MeshError, NotFound
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.catalog_log.repository import record_catalog
from tenantmesh.tenant_svc.checks.checks import Checks
from tenantmesh.tenant_svc.checks.rules import FeatureCheck
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.history import repository
from tenantmesh.tenant_svc.history.event import ChangeType, NewChange
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.settings import LifeSettings
from tenantmesh.tenant_svc.tenants.edits import TenantEdit
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tenantmesh.tenant_svc.tenants.updates import TenantUpdates
from tests.integration.tenant_svc.entitled import (
    ACTOR,
    METER,
    Pool,
    Rows,
    decided,
    grant_draft,
    override_draft,
    told_steps,
)
from tests.integration.tenant_svc.stage import new_tenant


def check(tenant: Tenant | str, feature: str = METER, amount: int = 1) -> FeatureCheck:
    return FeatureCheck(tenant if isinstance(tenant, str) else str(tenant.id), feature, amount)


async def test_usage_is_what_was_given_without_what_lies_ready(
    acme: Tenant, globex: Tenant, checks: Checks, grants: Grants, pool: Pool, rows: Rows
) -> None:
    await grants.create(acme.id, grant_draft(50), None, ACTOR)
    await rows.spent(acme.id, 9_990, 9_990)
    pool.units[acme.id, METER] = 100
    _, decision = await checks.check(acme.id, check(acme, amount=160))
    assert decision.allowed
    assert decision.usage is not None
    assert (decision.usage.used, decision.usage.limit, decision.usage.remaining) == (9_890, 10_050, 160)
    _, decision = await checks.check(acme.id, check(acme, amount=161))
    assert decision.reason == "QUOTA_EXHAUSTED"
    pool.down = StoreUnavailable("down")
    _, decision = await checks.check(acme.id, check(acme))
    assert decision.usage is not None
    assert decision.usage.used == 9_990, "what can't be seen counts as used"
    _, decision = await checks.check(globex.id, check(globex))
    assert decision.usage is not None
    assert (decision.usage.used, decision.usage.remaining) == (0, 10_000)


async def test_a_level_is_compared_with_its_limit(acme: Tenant, checks: Checks, rows: Rows) -> None:
    await rows.level(acme.id, "users", 999)
    assert (await checks.check(acme.id, check(acme, "users", 1)))[1].allowed
    assert (await checks.check(acme.id, check(acme, "users", 2)))[1].reason == "LIMIT_REACHED"


async def test_entitlements_as_a_whole_come_with_or_without_usage(
    acme: Tenant, entitlements: EntitlementQueries, pool: Pool, rows: Rows
) -> None:
    await rows.spent(acme.id, 10, 10)
    assert (await entitlements.get(acme.id)).spent == {}
    assert pool.asked == []
    standing = await entitlements.standing(acme.id)
    usage = standing.usage(standing.entitlements.features[METER])
    assert usage is not None
    assert usage.used == 10
    assert pool.asked == [(acme.id, (METER,))]


@pytest.mark.parametrize("ask", ["get", "standing", "check", "explain"])
async def test_a_tenant_that_is_not_there_is_not_found(
    acme: Tenant, entitlements: EntitlementQueries, checks: Checks, rows: Rows, ask: str
) -> None:
    await rows.delete(acme.id)
    for tenant_id in (acme.id, TenantId(uuid.uuid4())):
        arguments: dict[str, list[Any]] = {"check": [check(str(tenant_id))], "explain": [METER]}
        asked = checks if ask in arguments else entitlements
        with pytest.raises(NotFound) as caught:
            await getattr(asked, ask)(tenant_id, *arguments.get(ask, []))
        assert caught.value.reason == "TENANT_NOT_FOUND"


async def test_a_feature_that_is_not_there_is_not_found(acme: Tenant, checks: Checks) -> None:
    for asked in (
        checks.check(acme.id, check(acme, "no_such")),
        checks.explain(acme.id, "no_such"),
    ):
        with pytest.raises(NotFound) as caught:
            await asked
        assert caught.value.reason == "FEATURE_NOT_FOUND"


async def test_a_batch_finds_a_tenant_by_a_slug_that_it_had(tenants: Tenants, checks: Checks, doors: Doors) -> None:
    made = await tenants.create(new_tenant(), None)
    renamed = replace(made, slug=f"{made.slug}-now")
    edit = TenantEdit(renamed.slug, renamed.display_name, renamed.profile, frozenset({"slug"}), whole=False)
    await TenantUpdates(doors, LifeSettings()).update(made.id, edit)
    answers = await checks.check_many([check(name, "core") for name in (made.slug, renamed.slug, str(made.id))])
    assert len(answers) == 3
    assert len({repr(answer) for answer in answers}) == 1
    assert not isinstance(answers[0], NotFound)


async def test_a_batch_answers_each_check_by_itself(
    acme: Tenant, globex: Tenant, tenants: Tenants, checks: Checks, rows: Rows
) -> None:
    suspended = await tenants.create(new_tenant(), None)
    await tenants.suspend(suspended.id, "unpaid", "")
    gone = await tenants.create(new_tenant(), None)
    await rows.delete(gone.id)
    await rows.spent(acme.id, 10_000, 10_000)
    asked: list[tuple[FeatureCheck, str]] = [
        (check(acme), "QUOTA_EXHAUSTED"),
        (check(globex), ""),
        (check(globex.slug, "biometric_auth"), ""),
        (check(suspended, "core"), "TENANT_SUSPENDED"),
        (check(gone, "core"), "NOT_FOUND TENANT_NOT_FOUND"),
        (check(gone.slug, "core"), "NOT_FOUND TENANT_NOT_FOUND"),
        (check(str(uuid.uuid4())), "NOT_FOUND TENANT_NOT_FOUND"),
        (check("no-such-tenant"), "NOT_FOUND TENANT_NOT_FOUND"),
        (check("No Slug At All\x00"), "NOT_FOUND TENANT_NOT_FOUND"),
        (check(acme, "no_such"), "NOT_FOUND FEATURE_NOT_FOUND"),
        (check(acme, "\x00"), "NOT_FOUND FEATURE_NOT_FOUND"),
        (check("", "core"), "INVALID_ARGUMENT INVALID_FIELD"),
        (check(acme, ""), "INVALID_ARGUMENT INVALID_FIELD"),
        (check(acme, METER, -1), "INVALID_ARGUMENT INVALID_FIELD"),
        (check(acme, "users", 1000), ""),
        (check(acme.slug, "users", 1001), "LIMIT_REACHED"),
    ]
    answers = await checks.check_many([each for each, _ in asked])
    assert [_said(answer) for answer in answers] == [expected for _, expected in asked]


def _said(answer: Any) -> str:
    if isinstance(answer, MeshError):
        return f"{answer.kind.value} {answer.reason}"
    return decided(answer).reason


async def test_in_a_batch_nobody_is_told_of_another_tenant(
    tenants: Tenants, entitlements: EntitlementQueries, checks: Checks, overrides: Overrides, pool: Pool, rows: Rows
) -> None:
    """Every tenant has a limit and a usage of its own; 1,000 checks in any order tell each of its own."""
    several = [await tenants.create(new_tenant(), None) for _ in range(25)]
    expected: dict[TenantId, tuple[int, int]] = {}
    for number, tenant in enumerate(several, start=1):
        await overrides.set(tenant.id, override_draft(METER, FeatureValue.of_limit(1000 + number)), ACTOR)
        await rows.spent(tenant.id, 100 + number, 100 + number)
        pool.units[tenant.id, METER] = number % 3
        expected[tenant.id] = (1000 + number, 100 + number - number % 3)
    asked = [random.choice(several) for _ in range(1000)]
    answers = await checks.check_many([check(tenant if at % 2 else tenant.slug) for at, tenant in enumerate(asked)])
    for tenant, answer in zip(asked, answers, strict=True):
        assert not isinstance(answer, MeshError)
        standing, decision = answer
        assert standing.entitlements.tenant_id == tenant.id
        assert decision.usage is not None
        assert (decision.usage.limit, decision.usage.used) == expected[tenant.id]
    assert len(pool.asked) == len({tenant.id for tenant in asked}), "each tenant is asked about once"


class CountingDoors(Doors):
    """Counts transactions."""

    opened = 0

    def tenant(self, tenant_id: uuid.UUID, *, read_only: bool = False) -> Any:
        self.opened += 1
        return super().tenant(tenant_id, read_only=read_only)

    def system(self, reason: str, *, on_behalf_of: uuid.UUID | None = None, read_only: bool = False) -> Any:
        self.opened += 1
        return super().system(reason, on_behalf_of=on_behalf_of, read_only=read_only)


async def test_a_tenant_that_cannot_be_read_fails_its_own_checks_only(
    acme: Tenant, globex: Tenant, checks: Checks, overrides: Overrides, rows: Rows
) -> None:
    await overrides.set(acme.id, override_draft(), "key")
    broken = """update tenant.overrides set value = '{"nonsense": 1}' where tenant_id = $1"""
    await rows.superuser.execute(broken, acme.id)
    answers = await checks.check_many([check(tenant) for tenant in (acme, globex, acme)])
    assert [_said(answer) for answer in answers] == ["INTERNAL INTERNAL", "", "INTERNAL INTERNAL"]


async def test_a_batch_takes_two_transactions_whoever_it_is_about(doors: Doors, acme: Tenant, globex: Tenant) -> None:
    counting = CountingDoors(doors._database, OUTAGE)
    checks = [check(acme), check(globex.slug), check(acme, "users"), check(str(uuid.uuid4()))] * 250
    assert len(await Checks(counting, EntitlementQueries(counting)).check_many(checks)) == 1000
    assert counting.opened == 2


async def test_a_batch_asks_the_pool_a_few_questions_at_a_time(
    tenants: Tenants, checks: Checks, pool: Pool, rows: Rows
) -> None:
    several = [await tenants.create(new_tenant(), None) for _ in range(30)]
    for tenant in several:
        await rows.spent(tenant.id, 1, 1)
    await checks.check_many([check(tenant) for tenant in several])
    assert len(pool.asked) == 30
    assert 1 < pool.most_at_once <= 16


async def test_an_explanation_has_the_grants_and_what_changed_last(
    acme: Tenant,
    globex: Tenant,
    checks: Checks,
    overrides: Overrides,
    grants: Grants,
    rows: Rows,
) -> None:
    voided = await grants.create(acme.id, grant_draft(1), None, ACTOR)
    await grants.void(acme.id, voided.grant.id, "", ACTOR)
    second = await grants.create(acme.id, grant_draft(20, priority=5), None, ACTOR)
    first = await grants.create(acme.id, grant_draft(10, priority=1), None, ACTOR)
    await grants.create(globex.id, grant_draft(99), None, ACTOR)
    await overrides.set(acme.id, override_draft("users"), ACTOR)
    await overrides.set(acme.id, override_draft(METER, FeatureValue.of_limit(5)), ACTOR)
    await rows.spent(acme.id, 5, 5)
    told = await checks.explain(acme.id, METER)
    assert told.decision.allowed
    assert [each.grant.id for each in told.grants] == [first.grant.id, second.grant.id, voided.grant.id]
    assert [each.type for each in told.recent] == [
        ChangeType.OVERRIDE_SET,
        ChangeType.GRANT_CREATED,
        ChangeType.GRANT_CREATED,
        ChangeType.GRANT_VOIDED,
        ChangeType.GRANT_CREATED,
        ChangeType.PLAN_CHANGED,
    ]
    assert {each.tenant_id for each in told.recent} == {acme.id}
    assert told_steps(told)[0] == "The plan premium, version 1, allows 10000 requests a day (api_requests)."
    assert "sets 5 requests a day instead" in told_steps(told)[1]
    assert told_steps(told)[-1] == "So one more request is allowed."


async def test_an_explanation_tells_of_the_plan_and_of_the_catalog_but_of_no_other_feature(
    doors: Doors, acme: Tenant, checks: Checks, rows: Rows
) -> None:
    flag = await rows.feature()
    async with doors.tenant(acme.id) as connection:
        await lock_log(connection)
        for type_, feature in (("PLAN_CHANGED", ""), ("OVERRIDE_SET", "core")):
            change = NewChange(type=ChangeType(type_), feature=feature, actor=ACTOR, before="a", after="b")
            await repository.record(connection, acme.id, change)
    async with doors.system("a feature changes") as connection:
        await lock_log(connection)
        for feature in (flag, "core"):
            await record_catalog(connection, feature=feature, actor=ACTOR, before="", after='{"rollout": null}')
    told = await checks.explain(acme.id, flag)
    assert [(each.type, each.feature) for each in told.recent] == [
        (ChangeType.CATALOG_CHANGED, flag),
        (ChangeType.PLAN_CHANGED, ""),
        (ChangeType.PLAN_CHANGED, ""),
    ]
    assert told.decision.reason == "FEATURE_NOT_IN_PLAN"
    assert "Plans that have it: enterprise." in told_steps(told)


async def test_an_explanation_tells_the_ten_newest_changes(acme: Tenant, checks: Checks, overrides: Overrides) -> None:
    for number in range(12):
        await overrides.set(acme.id, override_draft("users", FeatureValue.of_limit(number)), ACTOR)
    told = await checks.explain(acme.id, "users")
    assert [each.after for each in told.recent] == [f"{number} users" for number in reversed(range(2, 12))]


async def test_a_negative_amount_is_refused(acme: Tenant, checks: Checks) -> None:
    with pytest.raises(InvalidArgument):
        await checks.check(acme.id, check(acme, METER, -1))
