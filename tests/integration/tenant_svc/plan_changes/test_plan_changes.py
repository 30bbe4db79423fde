"""A tenant moves to another plan: every outcome, whole or not at all."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tenantmesh.interceptors.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
)
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.entitlements.entitlement import OverLimitPolicy
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.plan_changes.executor import PlanChangeExecutor
from tenantmesh.tenant_svc.plan_changes.plan_change import OverLimit, PlanChange, PlanPin, Timing
from tenantmesh.tenant_svc.plan_changes.plan_changes import PlanChanges
from tests.integration.tenant_svc.world import ACTOR, World, request


def over(operation: Operation) -> tuple[OverLimit, ...]:
    return PlanChange.of(operation).over_limits


async def ended(executor: PlanChangeExecutor, operation: Operation) -> Operation:
    after = await executor.run(operation.owner, operation.id)
    assert after is not None
    assert after.done
    return after


async def test_it_starts_scheduled_with_its_job(world: World) -> None:
    operation = await world.started()
    assert operation.state is OperationState.SCHEDULED
    change = PlanChange.of(operation)
    assert (change.from_plan, change.to_plan) == (
        PlanPin("premium", 1),
        PlanPin("enterprise", 1),
    )
    assert operation.name == f"tenants/{operation.tenant_id}/operations/{operation.id}"
    (job,) = await world.jobs(operation)
    assert (job["entrypoint"], job["status"], job["headers"]) == ("migrate_tenant_plan", "queued", None)
    assert job["execute_after"] == operation.effective_time


async def test_it_changes_the_plan_once_and_tells_both_logs(world: World, executor: PlanChangeExecutor) -> None:
    before = await world.tenant()
    operation = await world.plan_changes.start(before.id, request())
    after = await ended(executor, operation)
    tenant = await world.tenants.get(before.id)
    assert after.state is OperationState.SUCCEEDED
    assert after.result == tenant.to_json()
    assert (tenant.plan_id, tenant.plan_version, tenant.version) == ("enterprise", 1, before.version + 1)
    assert tenant.etag != before.etag
    assert await world.updates(before.id) == ["enterprise@1"]
    assert await world.effects(before.id) == [("premium@1", "enterprise@1")]
    (_, event) = await world.rows(
        "select * from tenant.entitlement_events where tenant_id = $1 order by position", before.id
    )
    assert (event["actor"], event["feature_id"], event["plan_id"]) == (ACTOR, "", "enterprise")
    assert (await world.entitlements(operation.owner)).plan.id == "enterprise"


@pytest.mark.parametrize(
    ("policy", "until", "after"),
    [
        (OverLimitPolicy.REJECT, None, "basic@1"),
        (OverLimitPolicy.READ_ONLY, None, "basic@1 under READ_ONLY"),
        (OverLimitPolicy.GRACE, datetime(2099, 1, 2, tzinfo=UTC), "basic@1 under GRACE until 2099-01-02T00:00:00Z"),
    ],
)
async def test_the_history_says_why_and_on_which_terms(
    world: World, executor: PlanChangeExecutor, policy: OverLimitPolicy, until: datetime | None, after: str
) -> None:
    tenant = await world.tenant()
    asked = request("basic", policy=policy, grace_until=until, reason="it shrank")
    await ended(executor, await world.plan_changes.start(tenant.id, asked))
    query = "select * from tenant.entitlement_events where tenant_id = $1 order by position desc limit 1"
    (event,) = await world.rows(query, tenant.id)
    assert (event["reason"], event["before"], event["after"]) == ("it shrank", "premium@1", after)


async def test_operations_of_before_there_were_reasons_have_none(world: World, executor: PlanChangeExecutor) -> None:
    operation = await world.started()
    await world.rows("update tenant.operations set request = request - 'reason' where operation_id = $1", operation.id)
    assert PlanChange.of(await ended(executor, operation)).request.reason == ""


async def test_a_second_run_finds_it_done(world: World, executor: PlanChangeExecutor) -> None:
    operation = await world.started()
    first = await ended(executor, operation)
    assert await ended(executor, operation) == first
    assert len(await world.effects(operation.owner)) == 1


async def test_a_level_over_the_new_limit_rejects_it(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 101)
    after = await ended(executor, await world.plan_changes.start(tenant.id, request("basic")))
    assert after.state is OperationState.FAILED
    assert over(after) == (OverLimit("users", 101, 100),)
    assert after.error is not None
    assert (after.error.code, after.error.reason) == ("FAILED_PRECONDITION", "OVER_LIMIT")
    assert after.error.metadata == {"plan": "basic", "features": "users"}
    assert await world.tenants.get(tenant.id) == tenant
    assert await world.effects(tenant.id) == []


async def test_what_is_used_of_an_allowance_counts_with_the_grants_that_go_along(
    world: World, executor: PlanChangeExecutor
) -> None:
    tenant = await world.tenant()
    await world.used(tenant.id, "api_requests", 1500, 1100)
    after = await ended(executor, await world.plan_changes.start(tenant.id, request("basic")))
    assert over(after) == (OverLimit("api_requests", 1500, 1400),)  # grants gave 400, and have nothing left
    await world.rows(
        "insert into tenant.grants (tenant_id, grant_id, feature_id, amount, priority, effective_time, max_rollover, "
        "min_rollover, reason, balance, balance_period, create_time) values ($1, gen_random_uuid(), 'api_requests', "
        "200, 1, now() - interval '1 hour', 200, 0, 'gift', 200, date_trunc('day', now(), 'UTC'), now())",
        tenant.id,
    )
    assert over(await ended(executor, await world.plan_changes.start(tenant.id, request("basic")))) == ()


async def test_units_that_lie_ready_are_not_used(world: World) -> None:
    tenant = await world.tenant()
    await world.used(tenant.id, "api_requests", 1100, 1100)
    ready: dict[str, int] = {"api_requests": 101}

    async def pooled(asked: TenantId, meters: Sequence[str]) -> Mapping[str, int]:
        assert (asked, "api_requests" in meters, "users" in meters) == (tenant.id, True, False)
        return ready

    async def lost(_asked: TenantId, _meters: Sequence[str]) -> Mapping[str, int]:
        raise StoreUnavailable("down")

    enough = await PlanChanges(world.doors, uuid7, pooled).validate(tenant.id, request("basic"))
    assert over(enough) == ()
    ready["api_requests"] = 99
    short = await PlanChanges(world.doors, uuid7, pooled).validate(tenant.id, request("basic"))
    assert over(short) == (OverLimit("api_requests", 1001, 1000),)
    unknown = await PlanChanges(world.doors, uuid7, lost).validate(tenant.id, request("basic"))
    assert over(unknown) == (OverLimit("api_requests", 1100, 1000),)
    operation = await world.plan_changes.start(tenant.id, request("basic"))
    assert over(await ended(PlanChangeExecutor(world.doors, pooled), operation)) == over(short)
    ready["api_requests"] = 101
    operation = await world.plan_changes.start(tenant.id, request("basic"))
    assert (await ended(PlanChangeExecutor(world.doors, pooled), operation)).state is OperationState.SUCCEEDED


async def test_an_override_goes_along(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 101)
    await world.rows(
        "insert into tenant.overrides (tenant_id, feature_id, value, reason, create_time) "
        """values ($1, 'users', '{"limit": 101}', 'grown', now())""",
        tenant.id,
    )
    after = await ended(executor, await world.plan_changes.start(tenant.id, request("basic")))
    assert after.state is OperationState.SUCCEEDED


async def test_grace_keeps_the_old_limits_for_a_while(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 101)
    until = datetime.now(UTC) + timedelta(days=7)
    asked = request("basic", policy=OverLimitPolicy.GRACE, grace_until=until)
    after = await ended(executor, await world.plan_changes.start(tenant.id, asked))
    assert after.state is OperationState.SUCCEEDED
    assert over(after) == (OverLimit("users", 101, 100),)
    (terms,) = await world.rows("select * from tenant.plan_terms where tenant_id = $1", tenant.id)
    assert (json.loads(terms["grace_plans"]), terms["grace_until"]) == ([{"id": "premium", "version": 1}], until)
    have = await world.entitlements(after.owner)
    assert (have.plan.id, have.features["users"].limit, have.over_limit) == ("basic", 1000, ())


async def test_a_grace_goes_on_with_the_next_move_in_grace(world: World, executor: PlanChangeExecutor) -> None:
    """Whatever was promised: the limits of the plan before, and those that held then by an earlier promise."""
    tenant = await world.tenant()
    small, smaller = await world.plan(users=20, storage_bytes=7), await world.plan(users=10, storage_bytes=5)
    first, last = (datetime.now(UTC) + timedelta(days=days) for days in (30, 7))

    async def moved(plan: str, until: datetime) -> tuple[int | None, timedelta | None]:
        asked = request(plan, policy=OverLimitPolicy.GRACE, grace_until=until)
        await ended(executor, await world.plan_changes.start(tenant.id, asked))
        have = await world.entitlements(tenant.id)
        return have.features["users"].limit, have.valid_for

    for plan in (small, small, smaller, smaller):
        assert (await moved(plan, first))[0] == 1000
    users, lasts = await moved(smaller, last)
    assert (users, lasts is not None and lasts < timedelta(days=7)) == (1000, True)  # the newest says until when


async def test_a_grace_keeps_the_largest_of_all_that_was_promised(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    await world.rows(
        "update tenant.tenants set plan_id = $2 where tenant_id = $1", tenant.id, await world.plan(users=50)
    )
    until = datetime.now(UTC) + timedelta(days=7)
    for plan in (await world.plan(users=10, storage_bytes=9), await world.plan(users=20, storage_bytes=1)):
        asked = request(plan, policy=OverLimitPolicy.GRACE, grace_until=until)
        await ended(executor, await world.plan_changes.start(tenant.id, asked))
    have = await world.entitlements(tenant.id)
    assert (have.features["users"].limit, have.features["storage_bytes"].limit) == (50, 9)


async def test_a_grace_that_is_over_is_not_taken_up_again(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    until = datetime.now(UTC) + timedelta(days=7)
    asked = request(await world.plan(users=10), policy=OverLimitPolicy.GRACE, grace_until=until)
    await ended(executor, await world.plan_changes.start(tenant.id, asked))
    await world.rows("update tenant.plan_terms set grace_until = now() where tenant_id = $1", tenant.id)
    await ended(executor, await world.plan_changes.start(tenant.id, asked))
    assert (await world.entitlements(tenant.id)).features["users"].limit == 10


async def test_a_move_without_grace_ends_it(world: World, executor: PlanChangeExecutor) -> None:
    tenant, small = await world.tenant(), await world.plan(users=10)
    until = datetime.now(UTC) + timedelta(days=7)
    asked = request(small, policy=OverLimitPolicy.GRACE, grace_until=until)
    await ended(executor, await world.plan_changes.start(tenant.id, asked))
    await ended(executor, await world.plan_changes.start(tenant.id, request(small)))
    assert (await world.entitlements(tenant.id)).features["users"].limit == 10


async def test_a_later_change_ends_the_terms_of_an_earlier(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 101)
    asked = request("basic", policy=OverLimitPolicy.READ_ONLY)
    await ended(executor, await world.plan_changes.start(tenant.id, asked))
    await ended(executor, await world.plan_changes.start(tenant.id, request("premium")))
    assert await world.rows("select * from tenant.plan_terms where tenant_id = $1", tenant.id) == []
    assert await world.effects(tenant.id) == [("premium@1", "basic@1 under READ_ONLY"), ("basic@1", "premium@1")]


async def test_a_dry_run_says_what_would_be_over_and_writes_nothing(world: World) -> None:
    tenant = await world.tenant()
    await world.level(tenant.id, "users", 101)
    refused = await world.plan_changes.validate(tenant.id, request("basic"))
    assert (refused.state, refused.done, refused.name) == (OperationState.VALIDATED, True, "")
    assert over(refused) == (OverLimit("users", 101, 100),)
    assert refused.error is not None
    assert refused.error.reason == "OVER_LIMIT"
    allowed = await world.plan_changes.validate(tenant.id, request("basic", policy=OverLimitPolicy.READ_ONLY))
    assert allowed.error is None
    assert allowed.result is not None
    assert allowed.result["plan_id"] == "basic"
    assert await world.rows("select from tenant.operations where tenant_id = $1", tenant.id) == []
    assert await world.jobs(refused) == []
    assert await world.tenants.get(tenant.id) == tenant


async def test_a_repeated_request_is_the_same_operation_whatever_has_happened_since(
    world: World, executor: PlanChangeExecutor
) -> None:
    tenant, key = await world.tenant(), uuid.uuid4()
    asked = request(key=key, etag=tenant.etag)
    first = await world.plan_changes.start(tenant.id, asked)
    assert await world.plan_changes.start(tenant.id, asked) == first
    after = await ended(executor, first)
    assert await world.plan_changes.start(tenant.id, asked) == after  # though the etag is no longer the tenant's
    assert await world.plan_changes.validate(tenant.id, asked) == after
    assert len(await world.jobs(first)) == 1
    with pytest.raises(AlreadyExists, match="request_id") as caught:
        await world.plan_changes.start(tenant.id, request("basic", key=key))
    assert caught.value.reason == "REQUEST_ID_REUSED"
    with pytest.raises(AlreadyExists, match="request_id"):
        await world.plan_changes.start(tenant.id, request(key=key, etag=tenant.etag, reason="another"))


async def test_while_one_is_under_way_another_is_refused(world: World) -> None:
    operation = await world.started()
    for attempt in (world.plan_changes.start, world.plan_changes.validate):
        with pytest.raises(FailedPrecondition) as caught:
            await attempt(operation.owner, request("basic"))
        assert caught.value.reason == "MIGRATION_UNDER_WAY"
        assert caught.value.metadata == {"operation": operation.name}


@pytest.mark.parametrize(
    ("plan", "version", "reason"),
    [
        ("never_was", 0, "PLAN_NOT_FOUND"),
        ("never_was", 1, "PLAN_NOT_FOUND"),
        ("basic", 99, "PLAN_NOT_FOUND"),
        ("a draft", 0, "PLAN_NOT_PUBLISHED"),
        ("a draft", 1, "PLAN_NOT_PUBLISHED"),
    ],
)
async def test_only_a_published_version_can_be_moved_to(world: World, plan: str, version: int, reason: str) -> None:
    plan = await world.plan("DRAFT") if plan == "a draft" else plan
    tenant = await world.tenant()
    for attempt in (world.plan_changes.start, world.plan_changes.validate):
        with pytest.raises(MeshError) as caught:
            await attempt(tenant.id, request(plan, plan_version=version))
        assert caught.value.reason == reason


async def test_a_version_that_was_archived_meanwhile_fails_it(world: World, executor: PlanChangeExecutor) -> None:
    plan = await world.plan()
    operation = await world.started(plan)
    await executor.begin(operation.owner, operation.id)
    await executor.check(operation.owner, operation.id)
    await world.rows("update tenant.plan_versions set state = 'ARCHIVED' where plan_id = $1", plan)
    after = await executor.apply(operation.owner, operation.id)
    assert after is not None
    assert after.state is OperationState.FAILED
    assert after.error is not None
    assert after.error.reason == "PLAN_NOT_PUBLISHED"
    assert await world.effects(operation.owner) == []


async def test_what_is_used_is_checked_again_when_the_plan_changes(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    operation = await world.plan_changes.start(tenant.id, request("basic"))
    await executor.begin(tenant.id, operation.id)
    checked = await executor.check(tenant.id, operation.id)
    assert checked is not None
    assert (checked.state, over(checked)) == (OperationState.APPLYING, ())
    await world.level(tenant.id, "users", 101)
    after = await executor.apply(tenant.id, operation.id)
    assert after is not None
    assert (after.state, over(after)) == (OperationState.FAILED, (OverLimit("users", 101, 100),))


async def test_a_tenant_that_is_gone_fails_it(world: World, executor: PlanChangeExecutor) -> None:
    operation = await world.started()
    await world.rows("update tenant.tenants set state = 'DELETED' where tenant_id = $1", operation.tenant_id)
    after = await ended(executor, operation)
    assert after.error is not None
    assert after.error.reason == "TENANT_NOT_FOUND"
    with pytest.raises(NotFound):
        await world.plan_changes.start(operation.owner, request())


async def test_a_suspended_tenant_can_be_moved(world: World, executor: PlanChangeExecutor) -> None:
    tenant = await world.tenant()
    await world.tenants.suspend(tenant.id, "unpaid", "")
    after = await ended(executor, await world.plan_changes.start(tenant.id, request()))
    assert after.state is OperationState.SUCCEEDED
    assert after.result is not None
    assert after.result["state"] == "SUSPENDED"


async def test_an_etag_of_before_is_refused(world: World) -> None:
    tenant = await world.tenant()
    await world.tenants.suspend(tenant.id, "unpaid", "")
    for attempt in (world.plan_changes.start, world.plan_changes.validate):
        with pytest.raises(Aborted) as caught:
            await attempt(tenant.id, request(etag=tenant.etag))
        assert caught.value.reason == "ETAG_MISMATCH"


async def test_the_end_of_the_billing_period_is_awaited(world: World) -> None:
    tenant = await world.tenant()
    operation = await world.plan_changes.start(tenant.id, request(timing=Timing.NEXT_PERIOD))
    (job,) = await world.jobs(operation)
    assert job["execute_after"] == operation.effective_time
    start = operation.create_time.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert operation.effective_time == (start + timedelta(days=31)).replace(day=1)


@pytest.mark.parametrize(
    ("moment", "effective"),
    [
        (datetime(2023, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)),
        (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
async def test_billing_periods_are_those_of_the_calendar(world: World, moment: datetime, effective: datetime) -> None:
    async def at(_connection: Connection) -> datetime:
        return moment

    tenant = await world.tenant()
    operation = await PlanChanges(world.doors, uuid7, moment=at).start(tenant.id, request(timing=Timing.NEXT_PERIOD))
    assert operation.effective_time == effective
    assert (await world.jobs(operation))[0]["execute_after"] == effective


async def test_a_grace_that_is_over_before_it_begins_is_refused(world: World) -> None:
    tenant = await world.tenant()
    until = datetime.now(UTC) + timedelta(minutes=1)
    asked = request(policy=OverLimitPolicy.GRACE, grace_until=until, timing=Timing.NEXT_PERIOD)

    async def at(_connection: Connection) -> datetime:
        return until + timedelta(days=1)

    with pytest.raises(InvalidArgument, match="grace_until"):
        await PlanChanges(world.doors, uuid7, moment=at).start(tenant.id, asked)
