"""Reservations: made once, committed or released once, ended by themselves, whatever becomes of who made them."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tenantmesh.chassis.background import Repeating
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.requests import RequestKey
from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaPool
from tenantmesh.interceptors.backends.redis.quota_pool import RedisQuotaPool
from tenantmesh.interceptors.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask, Drained, Slice
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.redis_client import connect
from tenantmesh.tenant.v1 import quota_service_pb2 as pb
from tenantmesh.tenant.v1.quota_service_pb2_grpc import QuotaServiceStub
from tenantmesh.tenant_svc.allocations import repository as allocation_repository
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState, Mode, NewAllocation
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allowances.holder import LeaseHolder
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.allowances.pool import PoolDrain
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.metering import Allowances, lease_one, ledger_at
from tests.integration.tenant_svc.serving import Service, request
from tests.integration.tenant_svc.stage import eventually

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=400)
MOMENTARY = timedelta(microseconds=1)
RESERVER = "tests.integration.tenant_svc.allocations.reserver"


def new(mode: Mode = Mode.NORMAL, lasts: timedelta = timedelta(minutes=5), /, **amounts: int) -> NewAllocation:
    return NewAllocation(amounts, mode, lasts)


def key() -> RequestKey:
    return RequestKey("somebody", uuid.uuid4())


def id_of(allocation: Allocation) -> uuid.UUID:
    assert allocation.id is not None
    return allocation.id


def allocated(allocation: Allocation) -> dict[str, int]:
    return {item.meter: item.allocated for item in allocation.items}


async def test_what_is_reserved_is_used_until_it_is_committed(
    allocations: Allocations, ledger: Ledger, allowances: Allowances
) -> None:
    other = await allowances.feature()
    tenant = await allowances.tenant(api_requests=10, **{other: 10})
    made = await allocations.allocate(tenant, new(api_requests=8, **{other: 5}), None)
    assert (made.state, allocated(made)) == (AllocationState.RESERVED, {"api_requests": 8, other: 5})
    assert made.expire_time is not None
    assert made.create_time is not None
    assert made.expire_time - made.create_time == timedelta(minutes=5)
    assert (await lease_one(ledger, tenant, "api_requests", 10)).granted == 2
    done = await allocations.commit(tenant, id_of(made), {"api_requests": 3})
    assert (done.state, done.committed) == (AllocationState.COMMITTED, {"api_requests": 3, other: 0})
    assert await allowances.given(tenant, "api_requests") == [(5, 5)]
    assert await allowances.given(tenant, other) == [(0, 0)]


async def test_committing_without_amounts_charges_everything(allocations: Allocations, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    made = await allocations.allocate(tenant, new(api_requests=8), None)
    done = await allocations.commit(tenant, id_of(made), {})
    assert done.committed == {"api_requests": 8}
    assert await allowances.given(tenant, "api_requests") == [(8, 8)]


async def test_committing_twice_charges_once_and_otherwise_is_refused(
    allocations: Allocations, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    made = await allocations.allocate(tenant, new(api_requests=8), None)
    outcomes = await asyncio.gather(*(allocations.commit(tenant, id_of(made), {"api_requests": 6}) for _ in range(5)))
    assert len(set(map(repr, outcomes))) == 1
    for refused in (
        allocations.commit(tenant, id_of(made), {"api_requests": 5}),
        allocations.commit(tenant, id_of(made), {}),
        allocations.release(tenant, id_of(made)),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            await refused
        assert (caught.value.reason, caught.value.metadata) == ("ALLOCATION_CLOSED", {"state": "COMMITTED"})
    assert await allowances.given(tenant, "api_requests") == [(6, 6)]


async def test_of_a_commit_and_a_release_at_once_one_counts(
    doors: Doors, allocations: Allocations, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    made = await allocations.allocate(tenant, new(api_requests=8), None)
    async with doors.tenant(tenant) as connection:
        await allocation_repository.lock(connection, tenant, id_of(made), None)
        commit = asyncio.create_task(allocations.commit(tenant, id_of(made), {"api_requests": 6}))
        await eventually(allowances.somebody_waits)
        release = asyncio.create_task(allocations.release(tenant, id_of(made)))
    committed, released = await asyncio.gather(commit, release, return_exceptions=True)
    if isinstance(committed, Allocation):
        assert isinstance(released, FailedPrecondition)
        assert await allowances.given(tenant, "api_requests") == [(6, 6)]
    else:
        assert isinstance(released, Allocation)
        assert await allowances.given(tenant, "api_requests") == [(0, 0)]


async def test_releasing_returns_everything_once(
    allocations: Allocations, ledger: Ledger, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    grant = await allowances.grant(tenant, "api_requests", 10)
    made = await allocations.allocate(tenant, new(api_requests=15), None)
    assert await allowances.balance(grant) == 5
    await lease_one(ledger, tenant, "api_requests", 1)
    for _ in range(2):
        assert (await allocations.release(tenant, id_of(made))).state is AllocationState.RELEASED
    assert await allowances.given(tenant, "api_requests") == [(1, 1)]
    assert await allowances.balance(grant) == 10
    with pytest.raises(FailedPrecondition):
        await allocations.commit(tenant, id_of(made), {})


@pytest.mark.parametrize("amounts", [{"api_requests": 9}, {"api_requests": 1, "users": 0}])
async def test_no_more_is_committed_than_was_allocated(
    allocations: Allocations, allowances: Allowances, amounts: dict[str, int]
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    made = await allocations.allocate(tenant, new(api_requests=8), None)
    with pytest.raises(InvalidArgument):
        await allocations.commit(tenant, id_of(made), amounts)
    assert await allowances.given(tenant, "api_requests") == [(8, 8)]


async def test_too_little_is_refused_with_what_a_caller_needs_to_know(doors: Doors, allowances: Allowances) -> None:
    other = await allowances.feature()
    tenant = await allowances.tenant(api_requests=10, **{other: 10})
    await allowances.grant(tenant, "api_requests", 5)
    allocations = Allocations(doors, ledger_at(doors, NOON), uuid7)
    await allocations.allocate(tenant, new(api_requests=12), None)
    for mode in (Mode.NORMAL, Mode.CHECK_ONLY):
        with pytest.raises(ResourceExhausted) as caught:
            await allocations.allocate(tenant, new(mode, api_requests=4, **{other: 4}), None)
        assert caught.value.reason == "QUOTA_EXHAUSTED"
        assert caught.value.metadata == {
            "meter": "api_requests", "limit": "15", "remaining": "3", "scope": "tenant", "plan": "premium",
            "resets_at": "2026-04-01T00:00:00Z",
        }  # fmt: skip
        assert caught.value.retry_after == timedelta(hours=12)
    assert await allowances.given(tenant, other) == [(0, 0)]
    assert await allowances.given(tenant, "api_requests") == [(12, 10)]


async def test_best_effort_takes_what_is_there(allocations: Allocations, allowances: Allowances) -> None:
    other = await allowances.feature()
    tenant = await allowances.tenant(api_requests=10, **{other: 3})
    made = await allocations.allocate(tenant, new(Mode.BEST_EFFORT, api_requests=4, **{other: 5}), None)
    assert allocated(made) == {"api_requests": 4, other: 3}
    none = await allocations.allocate(tenant, new(Mode.BEST_EFFORT, **{other: 5}), None)
    assert (none.state, allocated(none)) == (AllocationState.RESERVED, {other: 0})
    assert (await allocations.commit(tenant, id_of(none), {})).committed == {other: 0}
    assert await allowances.given(tenant, other) == [(3, 3)]


async def test_checking_takes_nothing(allocations: Allocations, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    checked = await allocations.allocate(tenant, new(Mode.CHECK_ONLY, api_requests=10), key())
    assert (checked.id, checked.state, allocated(checked)) == (None, AllocationState.UNSPECIFIED, {"api_requests": 10})
    assert await allowances.given(tenant, "api_requests") == [(0, 0)]


async def test_a_repeated_request_reserves_once(allocations: Allocations, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=100)
    request, same = key(), new(api_requests=8)
    outcomes = await asyncio.gather(*(allocations.allocate(tenant, same, request) for _ in range(20)))
    assert len({id_of(each) for each in outcomes}) == 1
    assert len({repr(each.items) for each in outcomes}) == 1
    assert await allowances.given(tenant, "api_requests") == [(8, 8)]
    await allocations.release(tenant, id_of(outcomes[0]))
    assert (await allocations.allocate(tenant, same, request)).state is AllocationState.RELEASED
    for other in (
        new(api_requests=9),
        new(Mode.BEST_EFFORT, api_requests=8),
        new(Mode.NORMAL, timedelta(1), api_requests=8),
    ):
        with pytest.raises(AlreadyExists) as caught:
            await allocations.allocate(tenant, other, request)
        assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_a_request_that_was_refused_may_be_made_again(allocations: Allocations, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=1)
    request, same = key(), new(api_requests=8)
    with pytest.raises(ResourceExhausted):
        await allocations.allocate(tenant, same, request)
    await allowances.limit(tenant, "api_requests", 8)
    assert (await allocations.allocate(tenant, same, request)).state is AllocationState.RESERVED


async def test_two_tenants_and_two_callers_never_meet(allocations: Allocations, allowances: Allowances) -> None:
    one, other = await allowances.tenant(api_requests=10), await allowances.tenant(api_requests=10)
    request = key()
    made = await allocations.allocate(one, new(api_requests=8), request)
    foreign = await allocations.allocate(other, new(api_requests=8), request)
    third = await allocations.allocate(one, new(api_requests=1), RequestKey("another", request.request_id))
    assert len({made.id, foreign.id, third.id}) == 3
    for refused in (allocations.commit(other, id_of(made), {}), allocations.release(other, id_of(made))):
        with pytest.raises(NotFound) as caught:
            await refused
        assert caught.value.reason == "ALLOCATION_NOT_FOUND"
    assert await allowances.given(one, "api_requests") == [(9, 9)]


@pytest.mark.parametrize("meter", ["no_such_thing", "users"])
async def test_only_metered_features_are_reserved(allocations: Allocations, allowances: Allowances, meter: str) -> None:
    tenant = await allowances.tenant()
    with pytest.raises(NotFound) as caught:
        await allocations.allocate(tenant, new(**{meter: 1}), None)
    assert caught.value.reason == "FEATURE_NOT_FOUND"
    with pytest.raises(NotFound) as caught:
        await allocations.allocate(TenantId(uuid7()), new(api_requests=1), None)
    assert caught.value.reason == "TENANT_NOT_FOUND"


async def test_an_unlimited_meter_is_counted_while_it_is_reserved(
    allocations: Allocations, ledger: Ledger, allowances: Allowances
) -> None:
    """Otherwise what comes back after a limit was set would give more than the limit."""
    tenant = await allowances.tenant(api_requests=None)
    made = await allocations.allocate(tenant, new(api_requests=10**12), None)
    await allowances.limit(tenant, "api_requests", 10)
    assert (await lease_one(ledger, tenant, "api_requests", 50)).granted == 0
    await allocations.release(tenant, id_of(made))
    assert (await lease_one(ledger, tenant, "api_requests", 50)).granted == 10


async def test_a_reservation_ends_when_its_time_is_over(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    made = await Allocations(doors, ledger_at(doors, NOON), uuid7).allocate(tenant, new(api_requests=8), None)
    end = NOON + timedelta(minutes=5)
    before = Allocations(doors, ledger_at(doors, end - timedelta(microseconds=1)), uuid7)
    after = Allocations(doors, ledger_at(doors, end), uuid7)
    with pytest.raises(FailedPrecondition) as caught:
        await after.commit(tenant, id_of(made), {})
    assert caught.value.metadata == {"state": "EXPIRED"}
    assert (await before.commit(tenant, id_of(made), {})).state is AllocationState.COMMITTED


async def test_releasing_one_whose_time_is_over_says_that_it_expired(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    made = await Allocations(doors, ledger_at(doors, NOON), uuid7).allocate(tenant, new(api_requests=8), None)
    later = Allocations(doors, ledger_at(doors, NOON + timedelta(hours=1)), uuid7)
    for _ in range(2):
        assert (await later.release(tenant, id_of(made))).state is AllocationState.EXPIRED
    assert await allowances.given(tenant, "api_requests") == [(0, 0)]


async def test_whoever_is_short_takes_back_what_has_expired(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    now = Allocations(doors, ledger_at(doors, NOON), uuid7)
    for amount in (3, 3, 4):
        await now.allocate(tenant, new(api_requests=amount), None)
    still = ledger_at(doors, NOON + timedelta(minutes=4))
    assert (await lease_one(still, tenant, "api_requests", 1)).granted == 0
    later = ledger_at(doors, NOON + timedelta(minutes=5))
    assert (await Allocations(doors, later, uuid7).allocate(tenant, new(api_requests=6), None)).state
    assert (await lease_one(later, tenant, "api_requests", 10)).granted == 4
    states = await allowances.superuser.fetch("select state from tenant.allocations where tenant_id = $1", tenant)
    assert sorted(row["state"] for row in states) == ["EXPIRED", "EXPIRED", "EXPIRED", "RESERVED"]


async def test_best_effort_takes_back_what_has_expired_first(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    await Allocations(doors, ledger_at(doors, NOON), uuid7).allocate(tenant, new(api_requests=8), None)
    later = Allocations(doors, ledger_at(doors, NOON + timedelta(minutes=5)), uuid7)
    assert allocated(await later.allocate(tenant, new(Mode.BEST_EFFORT, api_requests=9), None)) == {"api_requests": 9}


@pytest.mark.parametrize("mode", Mode)
async def test_units_that_nobody_takes_from_the_pool_can_be_reserved(
    doors: Doors, ledger: Ledger, allowances: Allowances, mode: Mode
) -> None:
    """Whoever put them there was killed, and nobody else serves the tenant."""
    other = await allowances.feature()
    tenant, pool = await allowances.tenant(api_requests=100, **{other: 100}), MemoryQuotaPool()
    holder = LeaseHolder("a service that was killed", tuple(await pool.accounts()))
    (leased,) = await ledger.lease(tenant, [Ask("api_requests", 40, 1)], holder)
    assert await pool.add(tenant, leased, 30, time.monotonic() + 60)
    allocations = Allocations(doors, ledger, uuid7, PoolDrain(pool, ledger))
    within = await allocations.allocate(tenant, new(mode, api_requests=60, **{other: 1}), None)
    assert pool.held(tenant, "api_requests") == 30, "what is left is used first"
    if mode is not Mode.CHECK_ONLY:
        await allocations.release(tenant, id_of(within))
    made = await allocations.allocate(tenant, new(mode, api_requests=90, **{other: 1}), key())
    assert allocated(made) == {"api_requests": 90, other: 1}
    if mode is not Mode.BEST_EFFORT:
        with pytest.raises(ResourceExhausted):
            await allocations.allocate(tenant, new(mode, api_requests=91), None)


async def test_a_return_that_is_repeated_leaves_what_is_reserved(
    allocations: Allocations, ledger: Ledger, allowances: Allowances
) -> None:
    """Otherwise it could be leased, and charged by the reservation as well."""
    tenant = await allowances.tenant(api_requests=10)
    leased = await lease_one(ledger, tenant, "api_requests", 4)
    made = await allocations.allocate(tenant, new(api_requests=5), None)
    await allocations.release(tenant, id_of(await allocations.allocate(tenant, new(api_requests=1), None)))
    assert [await ledger.give_back(tenant, "api_requests", 3, leased.period_start) for _ in range(2)] == [3, 1]
    with pytest.raises(NotFound):
        await ledger.give_back(tenant, "api_requests", 3, leased.period_start)
    assert await allowances.given(tenant, "api_requests") == [(5, 5)]
    await allocations.commit(tenant, id_of(made), {})
    assert (await lease_one(ledger, tenant, "api_requests", 100)).granted == 5


async def test_a_reservation_is_ended_by_its_holder(allocations: Allocations, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    made = await allocations.allocate(tenant, new(api_requests=5), None, "billing")
    for ending in (
        allocations.commit(tenant, id_of(made), {}, "files"),
        allocations.release(tenant, id_of(made), "files"),
    ):
        with pytest.raises(PermissionDenied) as caught:
            await ending
        assert caught.value.reason == "ALLOCATION_NOT_HELD"
    assert (await allocations.commit(tenant, id_of(made), {}, "billing")).state is AllocationState.COMMITTED
    of_before = await allocations.allocate(tenant, new(api_requests=5), None, "billing")
    await allowances.superuser.execute("update tenant.allocations set holder = null where tenant_id = $1", tenant)
    released = await allocations.release(tenant, id_of(of_before), "files")
    assert released.state is AllocationState.RELEASED, "as all were before they had a holder"


class Gone(MemoryQuotaPool):
    """A pool that can't be reached."""

    async def drain(self, tenant_id: TenantId, meter: str, idle_for: timedelta = timedelta()) -> Drained | None:
        raise StoreUnavailable


async def test_without_a_pool_what_the_ledger_has_can_be_reserved(
    doors: Doors, ledger: Ledger, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    allocations = Allocations(doors, ledger, uuid7, PoolDrain(Gone(), ledger))
    with pytest.raises(ResourceExhausted):
        await allocations.allocate(tenant, new(api_requests=11), None)
    made = await allocations.allocate(tenant, new(Mode.BEST_EFFORT, api_requests=11), None)
    assert allocated(made) == {"api_requests": 10}


async def test_the_service_looks_for_units_in_its_own_pool(service: Service) -> None:
    made = await service.operator.CreateTenant(request())
    caller = QuotaServiceStub(service.channel(service.service_key("quota.lease", "quota.allocate")))
    client = connect(service.settings.redis.model_copy(update={"timeout": timedelta(seconds=10)}))
    pool = RedisQuotaPool(client)
    asks, (account,) = [pb.LeaseAsk(meter="api_requests", want=900, need=900)], await pool.accounts()
    (leased,) = (await caller.Lease(pb.LeaseRequest(id=made.id, asks=asks, account=account))).slices
    start = leased.period_start.ToDatetime(UTC)
    units = Slice("api_requests", leased.granted, leased.left, leased.limit, start, leased.ends_in.ToTimedelta())
    assert await pool.add(TenantId(uuid.UUID(made.id)), units, 900, time.time() + 3600)
    await client.aclose()
    everything = [pb.Amount(meter="api_requests", amount=leased.limit)]
    reserved = await caller.Allocate(pb.AllocateRequest(id=made.id, amounts=everything))
    assert list(reserved.allocated) == everything


async def test_a_reservation_of_yesterday_is_charged_to_yesterday(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    lasts = timedelta(hours=24)
    made = await Allocations(doors, ledger_at(doors, NOON), uuid7).allocate(
        tenant, new(Mode.NORMAL, lasts, api_requests=8), None
    )
    tomorrow = ledger_at(doors, NOON + timedelta(hours=13))
    assert (await lease_one(tomorrow, tenant, "api_requests", 10)).granted == 10
    await Allocations(doors, tomorrow, uuid7).commit(tenant, id_of(made), {"api_requests": 3})
    assert await allowances.given(tenant, "api_requests") == [(3, 3), (10, 10)]


async def test_a_tenant_whose_rows_are_wrong_keeps_nobody_waiting(doors: Doors, allowances: Allowances) -> None:
    bad, *others = [await allowances.tenant(api_requests=10) for _ in range(4)]
    for minutes, tenant in enumerate([bad, *others]):
        made_then = Allocations(doors, ledger_at(doors, NOON + timedelta(minutes=minutes)), uuid7)
        await made_then.allocate(tenant, new(api_requests=8), None)
    # More than the plan gave can't go back to the plan.
    await allowances.superuser.execute("update tenant.quota_ledger set from_plan = 2 where tenant_id = $1", bad)
    later = Allocations(doors, ledger_at(doors, NOON + timedelta(hours=1)), uuid7)
    with capture_logs() as logs:
        await later.expire()
    assert [await allowances.given(tenant, "api_requests") for tenant in others] == [[(0, 0)]] * 3
    assert [each["tenant"] for each in logs] == [str(bad)]
    await allowances.superuser.execute("update tenant.quota_ledger set from_plan = 8 where tenant_id = $1", bad)
    await later.expire()
    assert await allowances.given(bad, "api_requests") == [(0, 0)], "once it is right, its turn comes"


async def test_who_waits_longest_is_first(doors: Doors, allowances: Allowances) -> None:
    tenants = [await allowances.tenant(api_requests=10) for _ in range(4)]
    for minutes, tenant in zip((3, 0, 2, 1), tenants, strict=True):
        made_then = Allocations(doors, ledger_at(doors, LONG_AGO + timedelta(minutes=minutes)), uuid7)
        await made_then.allocate(tenant, new(api_requests=1), None)
    async with doors.system("a test", read_only=True) as connection:
        found = await allocation_repository.overdue(connection, LONG_AGO + timedelta(hours=1), 3)
    assert found == [tenants[1], tenants[3], tenants[2]]


async def test_several_sweepers_end_each_reservation_once(allocations: Allocations, allowances: Allowances) -> None:
    tenants = [await allowances.tenant(api_requests=500) for _ in range(3)]
    for tenant in tenants:
        for _ in range(5):
            await allocations.allocate(tenant, new(Mode.NORMAL, MOMENTARY, api_requests=10), None)
        await allocations.allocate(tenant, new(api_requests=7), None)
    sweepers = [Repeating("quota-expiry", allocations.expire, timedelta(milliseconds=20)) for _ in range(3)]
    for each in sweepers:
        await each.start()

    async def are_ended() -> bool:
        return [await allowances.given(tenant, "api_requests") for tenant in tenants] == [[(7, 7)]] * 3

    await eventually(are_ended)
    for each in sweepers:
        await each.close()
    assert await allocations.expire() == 0


async def test_a_process_that_is_killed_gives_back_what_it_reserved(
    migrated: WorkerDatabase, allocations: Allocations, ledger: Ledger, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    await allowances.grant(tenant, "api_requests", 10)
    url = migrated.url("tenant_app").get_secret_value()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", RESERVER, url, str(tenant), cwd=Path.cwd(), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    reserved, uncommitted = await process.stdout.readline(), await process.stdout.readline()
    process.kill()
    assert (await process.wait(), reserved, uncommitted) == (-9, b"reserved 15\n", b"uncommitted 5\n")
    sweeper = Repeating("quota-expiry", allocations.expire, timedelta(milliseconds=20))
    await sweeper.start()

    async def is_whole() -> bool:
        return await allowances.given(tenant, "api_requests") == [(0, 0)]

    await eventually(is_whole)
    await sweeper.close()
    assert (await lease_one(ledger, tenant, "api_requests", 100)).granted == 20
