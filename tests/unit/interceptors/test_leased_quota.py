"""Allowances as one process, and several, charge them: exact whatever fails, and served to the last unit when nothing
does."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from interceptors import leased_quota
from interceptors._quota_holdings import Pending
from interceptors._quota_sources import LOST_AFTER
from interceptors._quota_tenants import TenantHoldings
from interceptors.backends.memory_quotas import MemoryQuotaLedger, MemoryQuotaPool
from interceptors.errors import Internal, NotFound, PermissionDenied
from interceptors.leased_quota import LeasedQuota, Shortage, Taken
from interceptors.limits import StoreUnavailable
from interceptors.policy import Charge
from interceptors.quotas import Ask, QuotaLedger, QuotaPool, Slice
from interceptors.tenants import TenantId

READS = (Charge("reads"),)
BOTH = (Charge("reads"), Charge("writes", 2))


class Mesh:
    """Several processes, one pool, one ledger."""

    def __init__(self, **limits: int | None) -> None:
        self.limits: dict[str, int | None] = dict(limits)
        self.ledger: Any = MemoryQuotaLedger(self._limit)
        self.pool: Any = MemoryQuotaPool()
        self.tenant = TenantId(uuid.uuid4())
        self.processes: list[LeasedQuota] = []

    def _limit(self, _tenant: TenantId, meter: str) -> int | None:
        if meter not in self.limits:
            raise NotFound("FEATURE_NOT_FOUND", "No such feature.")
        return self.limits[meter]

    async def process(self, *, pool: QuotaPool | None = None, ledger: QuotaLedger | None = None) -> LeasedQuota:
        made = LeasedQuota(ledger or self.ledger, pool or self.pool)
        await made.start()
        self.processes.append(made)
        return made

    async def charge(self, process: LeasedQuota, charges: Sequence[Charge] = READS) -> bool:
        found = process.charge_now(self.tenant, charges, process._clock())
        if found is None:
            found = await process.charge(self.tenant, charges)
        return not isinstance(found, Shortage)

    def given(self, meter: str = "reads") -> int:
        return int(self.ledger.given(self.tenant, meter))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # a condition of the engine's, which has no event
                await asyncio.sleep(0.01)


@pytest.fixture
async def mesh() -> AsyncIterator[Mesh]:
    made = Mesh(reads=100, writes=10, much=1_000_000, open=None, nothing=0)
    yield made
    for process in made.processes:
        await process.close()


async def test_exactly_the_allowance_is_served(mesh: Mesh) -> None:
    process = await mesh.process()
    served = [await mesh.charge(process) for _ in range(103)]
    assert served == [True] * 100 + [False] * 3


async def test_exactly_the_allowance_is_served_by_many(mesh: Mesh) -> None:
    processes = [await mesh.process() for _ in range(4)]
    served = 0

    async def caller(process: LeasedQuota) -> None:
        nonlocal served
        for _ in range(200):
            passed = await mesh.charge(process)
            served += passed
            await asyncio.sleep(0)

    await asyncio.gather(*(caller(process) for process in processes for _ in range(5)))
    assert served <= 100
    # What a process holds and does not use comes back, and is served to whoever asks then.
    async with asyncio.timeout(10):
        while served < 100:
            served += await mesh.charge(processes[0])
            await asyncio.sleep(0.01)
    assert not await mesh.charge(processes[1])
    assert mesh.given() == 100


async def test_most_charges_ask_nobody(mesh: Mesh) -> None:
    process = await mesh.process()
    for _ in range(20_000):
        assert await mesh.charge(process, (Charge("much"),))
        if _ % 100 == 0:
            await asyncio.sleep(0.001)
    stats = process.stats
    assert stats.charged_here > 19_000
    assert stats.pool_calls + stats.ledger_calls < 1_000


async def test_several_meters_are_charged_all_or_nothing(mesh: Mesh) -> None:
    process = await mesh.process()
    served = [await mesh.charge(process, BOTH) for _ in range(7)]
    assert served == [True] * 5 + [False] * 2
    assert [await mesh.charge(process) for _ in range(96)] == [True] * 95 + [False], "the refused ones took no reads"


async def test_a_refusal_says_which_meter(mesh: Mesh) -> None:
    process = await mesh.process()
    short = await process.charge(mesh.tenant, (Charge("reads"), Charge("nothing")))
    assert isinstance(short, Shortage)
    assert (short.meter, short.limit) == ("nothing", 0)
    assert 0 < short.resets_in <= 86_400


async def test_a_smaller_charge_fits_where_a_larger_one_does_not(mesh: Mesh) -> None:
    process = await mesh.process()
    assert await mesh.charge(process, (Charge("writes", 8),))
    assert not await mesh.charge(process, (Charge("writes", 3),))
    assert await mesh.charge(process, (Charge("writes", 2),))


async def test_pool_and_ledger_together_have_enough(mesh: Mesh) -> None:
    process = await mesh.process()
    (units,) = await mesh.ledger.lease(mesh.tenant, [Ask("writes", 5, 5)])
    assert await mesh.pool.add(mesh.tenant, units, 5, mesh.pool._clock() + 100)
    assert await mesh.charge(process, (Charge("writes", 7),))
    assert not await mesh.charge(process, (Charge("writes", 4),))
    assert await mesh.charge(process, (Charge("writes", 3),))


async def test_the_unlimited_is_asked_for_once(mesh: Mesh) -> None:
    process = await mesh.process()
    assert all([await mesh.charge(process, (Charge("open", 1000),)) for _ in range(50)])
    assert process.stats.ledger_calls == 1
    process.refund(await process.charge(mesh.tenant, (Charge("open"),)))  # type: ignore[arg-type]


async def test_a_meter_that_is_none_is_our_fault(mesh: Mesh) -> None:
    process = await mesh.process()
    with pytest.raises(Internal, match="typo"):
        await process.charge(mesh.tenant, (Charge("typo"),))
    assert await mesh.charge(process), "and nobody else's"


async def test_what_is_given_back_can_be_taken_again(mesh: Mesh) -> None:
    process = await mesh.process()
    taken = [await process.charge(mesh.tenant, READS) for _ in range(100)]
    assert not await mesh.charge(process)
    process.refund(taken[0])  # type: ignore[arg-type]
    assert [await mesh.charge(process) for _ in range(2)] == [True, False]


async def test_idle_units_go_back(mesh: Mesh) -> None:
    process = await mesh.process()
    for _ in range(2_000):
        assert await mesh.charge(process, (Charge("much"),))
    assert mesh.given("much") > 2_000, "so that there is something to return"
    await mesh.until(lambda: mesh.given("much") == 2_000)
    assert process.stats.forfeited == 0


async def test_closing_gives_everything_back(mesh: Mesh) -> None:
    process = await mesh.process()
    for _ in range(2_000):
        assert await mesh.charge(process, (Charge("much"),))
    taken = await process.charge(mesh.tenant, (Charge("much"),))
    await process.close()
    assert mesh.given("much") == 2_001
    assert await mesh.charge(process, (Charge("much"),)), "what is still served takes what it needs"
    assert mesh.given("much") == 2_002
    process.refund(taken)  # type: ignore[arg-type]
    await mesh.until(lambda: mesh.given("much") == 2_001)


async def test_a_change_of_the_entitlements_is_heard(mesh: Mesh) -> None:
    first, second = await mesh.process(), await mesh.process()
    for _ in range(50):
        assert await mesh.charge(first)
    mesh.limits["reads"] = 60
    for process in mesh.processes:
        process.forget(mesh.tenant)
    assert [await mesh.charge(second) for _ in range(11)] == [True] * 10 + [False]
    mesh.limits["reads"] = 40
    for process in mesh.processes:
        process.forget(mesh.tenant)
    assert not await mesh.charge(first)
    mesh.limits["reads"] = 62
    for process in mesh.processes:
        process.forget(None)
    assert [await mesh.charge(second) for _ in range(3)] == [True, True, False], "a refusal is not remembered"


class Busy(MemoryQuotaLedger):
    """A ledger that notes how many talk to it at a time."""

    talking = most = 0

    async def give_back(self, *arguments: Any) -> None:
        self.talking += 1
        self.most = max(self.most, self.talking)
        await asyncio.sleep(0.001)
        await super().give_back(*arguments)
        self.talking -= 1


@pytest.mark.parametrize("at_once", [True, False], ids=["everybody", "one by one"])
async def test_when_everything_changes_not_all_is_returned_at_once(mesh: Mesh, *, at_once: bool) -> None:
    """As with a new catalog, or when a thousand tenants are moved to another plan."""
    ledger = Busy(mesh._limit)
    process = LeasedQuota(ledger)
    tenants = [TenantId(uuid.uuid4()) for _ in range(200)]
    for tenant in tenants:
        process.refund(await process.charge(tenant, READS))  # type: ignore[arg-type]
    if at_once:
        process.forget(None)
    else:
        for tenant in tenants:
            process.forget(tenant)
    await mesh.until(lambda: not any(ledger.given(tenant, "reads") for tenant in tenants))
    assert ledger.most == leased_quota.AT_ONCE
    await process.close()
    assert process.stats.forfeited == 0


async def test_what_is_refunded_after_a_limit_was_lowered_goes_back(mesh: Mesh) -> None:
    process = await mesh.process()
    taken = [await taken_of(process, mesh, READS) for _ in range(50)]
    mesh.limits["reads"] = 10
    process.forget(mesh.tenant)
    assert not await mesh.charge(process)
    for each in taken[:20]:
        process.refund(each)
    assert process.held(mesh.tenant, "reads") == 0
    assert not await mesh.charge(process), "30 of 10 are used"
    await mesh.until(lambda: mesh.given() == 30)
    for each in taken[20:45]:
        process.refund(each)
    await mesh.until(lambda: mesh.given() == 5)
    await asyncio.sleep(1)  # the refusal is remembered for a second
    assert [await mesh.charge(process) for _ in range(6)] == [True] * 5 + [False]


async def test_a_pool_of_a_higher_limit_is_not_used(mesh: Mesh) -> None:
    (units,) = await mesh.ledger.lease(mesh.tenant, [Ask("reads", 80, 80)])
    assert await mesh.pool.add(mesh.tenant, units, 80, mesh.pool._clock() + 100)
    mesh.limits["reads"] = 50
    process = await mesh.process()
    assert not await mesh.charge(process)


class Away:
    """A store that can be away, before what it was asked or after it, and forget."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.before = self.after = False

    def __getattr__(self, name: str) -> Any:
        async def asked(*args: Any) -> Any:
            if self.before:
                raise StoreUnavailable("away")
            answer = await getattr(self.store, name)(*args)
            if self.after:
                raise StoreUnavailable("away")
            return answer

        return asked


async def test_without_its_pool_the_ledger_is_asked(mesh: Mesh) -> None:
    pool = Away(mesh.pool)
    process = await mesh.process(pool=pool)
    assert await mesh.charge(process)
    pool.before = True
    assert [await mesh.charge(process) for _ in range(100)] == [True] * 99 + [False]


async def test_without_both_nothing_is_known(mesh: Mesh) -> None:
    pool, ledger = Away(mesh.pool), Away(mesh.ledger)
    process = await mesh.process(pool=pool, ledger=ledger)
    assert await mesh.charge(process)
    pool.before = ledger.before = True
    with pytest.raises(StoreUnavailable):
        await process.charge(mesh.tenant, (Charge("reads", 50),))


class Particular(Away):
    """A ledger that does not answer about some tenants, or refuses them."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.silent: set[TenantId] = set()
        self.refused: set[TenantId] = set()

    def __getattr__(self, name: str) -> Any:
        asked = super().__getattr__(name)

        async def particular(tenant: TenantId, *args: Any) -> Any:
            if tenant in self.refused:
                raise PermissionDenied("TENANT_SUSPENDED", "The tenant is suspended.")
            if tenant in self.silent:
                raise StoreUnavailable("a locked row")
            return await asked(tenant, *args)

        return particular


async def test_silence_about_one_tenant_is_no_lost_contact(mesh: Mesh) -> None:
    ledger = Particular(mesh.ledger)
    process = await mesh.process(ledger=ledger)
    locked = [TenantId(uuid.uuid4()) for _ in range(LOST_AFTER - 1)]
    ledger.silent = set(locked)
    for tenant in locked:
        with pytest.raises(StoreUnavailable):
            await process.charge(tenant, READS)
    assert await mesh.charge(process)
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        await process.charge(locked[0], READS)
    for tenant in (TenantId(uuid.uuid4()), mesh.tenant):
        assert await process.charge(tenant, (Charge("much", 10),)), "it has answered in between"
        ledger.silent.add(tenant)
        with pytest.raises(StoreUnavailable):
            await process.charge(tenant, (Charge("much", 100_000),))


async def test_silence_about_several_tenants_is_lost_contact(mesh: Mesh) -> None:
    ledger = Particular(mesh.ledger)
    process = await mesh.process(ledger=ledger)
    ledger.before = True
    for _ in range(LOST_AFTER):
        with pytest.raises(StoreUnavailable, match="away"):
            await process.charge(TenantId(uuid.uuid4()), READS)
    ledger.before = False
    with pytest.raises(StoreUnavailable, match="a moment ago"):
        await process.charge(mesh.tenant, READS)
    await asyncio.sleep(1)
    assert await mesh.charge(process)


async def test_a_refusal_concerns_whoever_is_refused(mesh: Mesh) -> None:
    ledger = Particular(mesh.ledger)
    process = await mesh.process(ledger=ledger)
    for _ in range(2 * LOST_AFTER):
        suspended = TenantId(uuid.uuid4())
        ledger.refused.add(suspended)
        with pytest.raises(PermissionDenied, match="suspended"):
            await process.charge(suspended, READS)
    assert await mesh.charge(process)


async def test_what_is_kept_until_the_end_is_counted_as_forfeited(mesh: Mesh) -> None:
    pool, ledger = Away(mesh.pool), Away(mesh.ledger)
    process = await mesh.process(pool=pool, ledger=ledger)
    for _ in range(2_000):
        assert await mesh.charge(process, (Charge("much"),))
    held = process.held(mesh.tenant, "much")
    pool.before = ledger.before = True
    with pytest.raises(StoreUnavailable):
        await process.charge(mesh.tenant, (Charge("much", 100_000),))
    await process.close()
    assert process.stats.forfeited == held > 0
    assert process.held(mesh.tenant, "much") == 0


class Stuck(MemoryQuotaLedger):
    """A ledger that takes units back, and never says so."""

    async def give_back(self, *_: Any) -> None:
        await asyncio.Event().wait()


async def test_returns_that_are_cut_off_are_counted_as_forfeited(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leased_quota, "CLOSING_SECONDS", 0.05)
    process = LeasedQuota(Stuck(mesh._limit))
    taken = [*await taken_of(process, mesh, BOTH), *await taken_of(process, mesh, BOTH)]
    process.refund(taken)
    await process.close()
    assert process.stats.forfeited == 6


async def taken_of(process: LeasedQuota, mesh: Mesh, charges: Sequence[Charge]) -> tuple[Taken, ...]:
    found = await process.charge(mesh.tenant, charges)
    assert not isinstance(found, Shortage)
    return found


async def test_what_is_given_back_as_closing_begins_goes_back(mesh: Mesh) -> None:
    process = await mesh.process()
    taken = await taken_of(process, mesh, READS)
    walker = process._walker
    assert walker is not None
    await mesh.until(walker.done)  # else it is stopped, and nothing happens in between
    process.refund(taken)
    await process.close()
    await mesh.until(lambda: mesh.given() == 0)
    assert process.stats.forfeited == 0


async def test_what_had_no_answer_is_gone(mesh: Mesh) -> None:
    ledger = Away(mesh.ledger)
    process = await mesh.process(ledger=ledger)
    ledger.after = True
    with pytest.raises(StoreUnavailable):
        await process.charge(mesh.tenant, (Charge("reads", 60),))
    assert mesh.given() == 60
    ledger.after = False
    process = await mesh.process(ledger=ledger)  # one that has not seen it fail
    assert not await mesh.charge(process, (Charge("reads", 41),))
    assert await mesh.charge(process, (Charge("reads", 40),))


async def test_units_are_kept_while_they_cant_be_returned(mesh: Mesh) -> None:
    pool, ledger = Away(mesh.pool), Away(mesh.ledger)
    process = await mesh.process(pool=pool, ledger=ledger)
    for _ in range(2_000):
        assert await mesh.charge(process, (Charge("much"),))
    pool.before = ledger.before = True
    holding = process._tenants[mesh.tenant.int].holdings["much"]
    held = holding.units
    with pytest.raises(StoreUnavailable):
        await process.charge(mesh.tenant, (Charge("much", 100_000),))
    await asyncio.sleep(0.5)
    assert holding.units == held
    assert process.stats.forfeited == 0


async def test_whoever_gives_up_waiting_takes_nothing(mesh: Mesh) -> None:
    process = await mesh.process()
    waiting = [asyncio.create_task(mesh.charge(process)) for _ in range(50)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    served = 0
    while await mesh.charge(process):
        served += 1
    assert served == 75


async def test_whoever_gives_up_as_it_is_served_gives_it_back(mesh: Mesh) -> None:
    process = await mesh.process()
    loop, waiting = asyncio.get_running_loop(), asyncio.create_task(mesh.charge(process))
    told = process._conversation._hold

    def hold(*arguments: Any) -> None:
        loop.call_soon(waiting.cancel)  # comes before the waiter hears that it was served
        told(*arguments)

    process._conversation._hold = hold
    with pytest.raises(asyncio.CancelledError):
        await waiting
    process._conversation._hold = told
    assert [await mesh.charge(process) for _ in range(101)] == [True] * 100 + [False]


async def test_nobody_passes_those_who_wait(mesh: Mesh) -> None:
    process = await mesh.process()
    process.refund(await process.charge(mesh.tenant, (Charge("reads", 3),)))  # type: ignore[arg-type]
    waiting = asyncio.create_task(mesh.charge(process, (Charge("reads", 5),)))
    await asyncio.sleep(0)
    assert process.held(mesh.tenant, "reads") == 3
    assert process.charge_now(mesh.tenant, READS, process._clock()) is None
    assert await waiting
    assert await mesh.charge(process)


class Slow(MemoryQuotaLedger):
    """A ledger that answers when it is told to."""

    def __init__(self, limits: Any) -> None:
        super().__init__(limits)
        self.may_answer = asyncio.Event()
        self.asked = 0

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask]) -> Sequence[Slice]:
        answer = await super().lease(tenant_id, asks)
        self.asked += 1
        await self.may_answer.wait()
        return answer


async def test_what_was_leased_before_a_change_is_not_used_after_it(mesh: Mesh) -> None:
    ledger = Slow(mesh._limit)
    process = await mesh.process(ledger=ledger)
    waiting = asyncio.create_task(mesh.charge(process))
    await mesh.until(lambda: ledger.asked == 1)
    mesh.limits["reads"] = 0
    process.forget(mesh.tenant)
    ledger.may_answer.set()
    assert not await waiting
    await mesh.until(lambda: ledger.given(mesh.tenant, "reads") == 0)


async def test_a_process_keeps_its_share_and_leaves_the_rest_to_the_others(mesh: Mesh) -> None:
    process = await mesh.process()
    for _ in range(5_000):
        assert await mesh.charge(process, (Charge("much"),))
    held, pooled = process.held(mesh.tenant, "much"), mesh.pool.held(mesh.tenant, "much")
    assert 0 < held + 5_000 < mesh.given("much")
    assert pooled == mesh.given("much") - held - 5_000


async def test_without_answers_nothing_is_given_twice(mesh: Mesh) -> None:
    """The pool has what it was given, and says nothing."""
    pool = Away(mesh.pool)
    pool.after = True
    (units,) = await mesh.ledger.lease(mesh.tenant, [Ask("reads", 9, 9)])
    sources = (await mesh.process(pool=pool))._sources
    assert await sources.add(mesh.tenant, units, 9, mesh.pool._clock() + 100) is None
    sources = (await mesh.process(pool=pool))._sources
    assert await sources.give_back(mesh.tenant, Pending("reads", 9, units.period_start, units.limit)) is None
    assert (mesh.given(), mesh.pool.held(mesh.tenant, "reads")) == (9, 18), "not returned to the ledger as well"


async def test_units_of_a_period_that_is_over_are_returned_to_it(mesh: Mesh) -> None:
    seconds = 0.0
    ledger = Clocked(mesh._limit)
    process = LeasedQuota(ledger, MemoryQuotaPool(clock=lambda: seconds), clock=lambda: seconds)
    await process.start()
    mesh.processes.append(process)
    process.refund(await process.charge(mesh.tenant, (Charge("reads", 30),)))  # type: ignore[arg-type]
    first = ledger._started()
    seconds, ledger.time = 1.0, ledger.time + timedelta(seconds=1)
    assert process.charge_now(mesh.tenant, READS, seconds) is None, "they are of no use now"
    assert await mesh.charge(process)
    await process.close()
    assert ledger._given[mesh.tenant, "reads", first] == 0
    assert ledger.given(mesh.tenant, "reads") == 1


class Clocked(MemoryQuotaLedger):
    """A ledger whose time is the test's."""

    def __init__(self, limits: Any) -> None:
        self.time = datetime.fromisoformat("2026-11-23T23:59:59Z")
        super().__init__(limits, now=lambda: self.time)


async def test_a_period_that_ends_takes_its_units_with_it(mesh: Mesh) -> None:
    seconds = 0.0
    ledger = Clocked(mesh._limit)
    process = LeasedQuota(ledger, MemoryQuotaPool(clock=lambda: seconds), clock=lambda: seconds)
    await process.start()
    mesh.processes.append(process)
    for _ in range(3):
        assert await mesh.charge(process)
    seconds, ledger.time = 1.0, ledger.time + timedelta(seconds=1)
    assert [await mesh.charge(process) for _ in range(101)] == [True] * 100 + [False]
    assert ledger.given(mesh.tenant, "reads") == 100


async def test_the_ledgers_clock_may_be_set_back(mesh: Mesh) -> None:
    ledger = Clocked(mesh._limit)
    process = await mesh.process(ledger=ledger)
    assert await mesh.charge(process)
    ledger.time += timedelta(days=1)
    process.forget(mesh.tenant)
    assert await mesh.charge(process)
    ledger.time -= timedelta(days=1)
    process.forget(mesh.tenant)
    assert [await mesh.charge(process) for _ in range(100)] == [True] * 99 + [False]


async def test_the_unlimited_ends_when_the_ledger_says_so(mesh: Mesh) -> None:
    """As with an override that expires, or at the end of a period: nobody may tell of it."""
    seconds = 0.0
    ledger = Clocked(mesh._limit)
    process = LeasedQuota(ledger, MemoryQuotaPool(clock=lambda: seconds), clock=lambda: seconds)
    await process.start()
    mesh.processes.append(process)
    mesh.limits["reads"] = None
    assert all([await mesh.charge(process) for _ in range(200)])
    seconds, mesh.limits["reads"] = 0.9, 10
    assert await mesh.charge(process)
    seconds, ledger.time = 1.0, ledger.time + timedelta(seconds=1)
    assert process.charge_now(mesh.tenant, READS, seconds) is None
    assert [await mesh.charge(process) for _ in range(11)] == [True] * 10 + [False]


async def test_what_was_held_goes_back_when_there_is_no_limit_any_more(mesh: Mesh) -> None:
    process = await mesh.process()
    process.refund(await taken_of(process, mesh, (Charge("reads", 30),)))
    mesh.limits["reads"] = None
    assert await mesh.charge(process, (Charge("reads", 31),)), "asks for one more, and hears that there is no limit"
    await mesh.until(lambda: mesh.given() == 0)


async def test_one_of_several_meters_is_unlimited(mesh: Mesh) -> None:
    process = await mesh.process()
    served = [await mesh.charge(process, (Charge("open"), Charge("writes", 2))) for _ in range(6)]
    assert served == [True] * 5 + [False]


async def test_memory_is_bounded_and_keeps_whom_it_hears_from(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leased_quota, "CAPACITY", 100)
    process = await mesh.process()
    for meter in ("open", "reads", "nothing"):
        for _ in range(300):
            assert await process.charge(TenantId(uuid.uuid4()), (Charge(meter),)) is not None
            assert await mesh.charge(process, (Charge("open"),))
        assert len(process._tenants) == 100
    assert process.stats.ledger_calls == 900 + 1, "the one that calls all the time was asked for once"


async def test_what_is_held_is_not_forgotten(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leased_quota, "CAPACITY", 10)
    process = await mesh.process()
    tenants = [TenantId(uuid.uuid4()) for _ in range(30)]
    for tenant in tenants:
        process.refund(await process.charge(tenant, READS))  # type: ignore[arg-type]
    assert [process.held(tenant, "reads") for tenant in tenants] == [1] * 30
    await mesh.until(lambda: not process._active)
    for _ in range(10):
        await process.charge(TenantId(uuid.uuid4()), READS)
    assert len(process._tenants) == 10, "and room is made when it has gone back"


async def test_room_costs_the_same_however_many_are_in_use(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leased_quota, "CAPACITY", 1000)
    process = await mesh.process()
    looked = 0

    def idle(_tenant: TenantHoldings) -> bool:
        nonlocal looked
        looked += 1
        return False

    monkeypatch.setattr(TenantHoldings, "idle", property(idle))
    for _ in range(1100):
        await process.charge(TenantId(uuid.uuid4()), (Charge("open"),))
    assert looked <= 100 * leased_quota.STEPS


class Noting(Away):
    """A pool that notes the amounts which it is given back."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.given_back: list[int] = []

    def __getattr__(self, name: str) -> Any:
        asked = super().__getattr__(name)

        async def noting(*args: Any) -> Any:
            if name == "give_back":
                self.given_back.append(args[2])
            return await asked(*args)

        return noting


class Walked:
    """A process whose time is the test's, with what it leaves in the pool."""

    def __init__(self, mesh: Mesh) -> None:
        self.seconds = 0.0
        self._mesh = mesh
        pool: Any = Noting(MemoryQuotaPool(clock=lambda: self.seconds))
        self.given_back = pool.given_back
        self.process = LeasedQuota(mesh.ledger, pool, clock=lambda: self.seconds)

    async def call(self, gaps: Iterable[float]) -> None:
        """Calls after these seconds each, with a look every LOOK_SECONDS."""
        looked = self.seconds
        for gap in gaps:
            self.seconds += gap
            assert await self._mesh.charge(self.process, (Charge("much"),))
            if self.seconds - looked >= leased_quota.LOOK_SECONDS:
                looked = self.seconds
                await leased_quota._all_of(self.process._look())

    @property
    def held(self) -> int:
        return self.process.held(self._mesh.tenant, "much")


@pytest.fixture
async def walked(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> Walked:
    made = Walked(mesh)
    monkeypatch.setattr(made.process, "_walk_or_settle", lambda: None)  # the test looks
    mesh.processes.append(made.process)
    await made.process.start()
    return made


async def test_a_process_whose_calls_become_fewer_gives_back_what_it_holds_too_much(walked: Walked) -> None:
    await walked.call([0.001] * 2_000)
    while walked.held < 200:
        await walked.call([0.001])
    await walked.call([0.15] * 10)
    assert walked.held < 20
    assert len(walked.given_back) < 5, "in a few steps"
    await walked.call([0.15] * 20)
    assert walked.held <= 3


@pytest.mark.parametrize("per_second", [8, 50, 1_000, 20_000])
async def test_a_process_whose_calls_come_evenly_gives_nothing_back(walked: Walked, per_second: int) -> None:
    chance = random.Random(7)
    await walked.call(chance.expovariate(per_second) for _ in range(10 * min(per_second, 2_000)))
    assert not walked.given_back


class Promising(MemoryQuotaLedger):
    """A ledger that breaks its word: there is enough left, and it gives nothing."""

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask]) -> Sequence[Slice]:
        return [self._slice(tenant_id, ask.meter) for ask in asks]


async def test_a_ledger_that_breaks_its_word_is_not_asked_for_ever(mesh: Mesh) -> None:
    process = await mesh.process(ledger=Promising(mesh._limit))
    async with asyncio.timeout(5):
        assert not await mesh.charge(process)
