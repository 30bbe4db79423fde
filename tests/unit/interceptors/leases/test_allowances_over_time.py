"""What a process holds of allowances as time goes by: periods that end, units it does not need, tenants it forgets."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger, MemoryQuotaPool
from tenantmesh.interceptors.leases import allowances
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.tenant_holdings import TenantHoldings
from tenantmesh.interceptors.quotas import Ask, Charge, Slice
from tenantmesh.interceptors.tenants import TenantId
from tests.unit.interceptors.leases.processes import READS, Away, Mesh, taken_of


async def test_units_of_a_period_that_is_over_are_returned_to_it(mesh: Mesh) -> None:
    seconds = 0.0
    ledger = Clocked(mesh._limit)
    process = LeasedQuota(ledger, MemoryQuotaPool(clock=lambda: seconds), clock=lambda: seconds)
    await process.start()
    mesh.processes.append(process)
    process.refund(await taken_of(process, mesh, (Charge("reads", 30),)))
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


async def test_memory_is_bounded_and_keeps_whom_it_hears_from(mesh: Mesh) -> None:
    process = await mesh.process(capacity=100)
    for meter in ("open", "reads", "nothing"):
        for _ in range(300):
            assert await process.charge(TenantId(uuid.uuid4()), (Charge(meter),)) is not None
            assert await mesh.charge(process, (Charge("open"),))
        assert process.cached_tenants == 100
    assert process.stats.ledger_calls == 900 + 1, "the one that calls all the time was asked for once"


async def test_what_is_held_is_not_forgotten(mesh: Mesh) -> None:
    process = await mesh.process(capacity=10)
    tenants = [TenantId(uuid.uuid4()) for _ in range(30)]
    for tenant in tenants:
        process.refund(await taken_of(process, mesh, READS, tenant))
    assert [process.held(tenant, "reads") for tenant in tenants] == [1] * 30
    await mesh.until(lambda: not process.ticking)
    for _ in range(10):
        await process.charge(TenantId(uuid.uuid4()), READS)
    assert process.cached_tenants == 10, "and room is made when it has gone back"


async def test_room_costs_the_same_however_many_are_in_use(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    process = await mesh.process(capacity=1000)
    looked = 0

    def idle(_tenant: TenantHoldings) -> bool:
        nonlocal looked
        looked += 1
        return False

    monkeypatch.setattr(TenantHoldings, "idle", property(idle))
    for _ in range(1100):
        await process.charge(TenantId(uuid.uuid4()), (Charge("open"),))
    assert looked <= 100 * allowances.STEPS


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


class Ticked:
    """A process whose time is the test's, with what it leaves in the pool."""

    def __init__(self, mesh: Mesh) -> None:
        self.seconds = 0.0
        self._mesh = mesh
        pool: Any = Noting(MemoryQuotaPool(clock=lambda: self.seconds))
        self.given_back = pool.given_back
        self.process = LeasedQuota(mesh.ledger, pool, clock=lambda: self.seconds, tick=3600)  # the test ticks

    async def call(self, gaps: Iterable[float]) -> None:
        """Calls after these seconds each, with a tick every TICK_SECONDS."""
        ticked = self.seconds
        for gap in gaps:
            self.seconds += gap
            assert await self._mesh.charge(self.process, (Charge("much"),))
            if self.seconds - ticked >= allowances.TICK_SECONDS:
                ticked = self.seconds
                await self.process.tick()

    @property
    def held(self) -> int:
        return self.process.held(self._mesh.tenant, "much")


@pytest.fixture
async def ticking(mesh: Mesh) -> Ticked:
    made = Ticked(mesh)
    mesh.processes.append(made.process)
    await made.process.start()
    return made


async def test_a_process_whose_calls_become_fewer_gives_back_what_it_holds_too_much(ticking: Ticked) -> None:
    await ticking.call([0.001] * 2_000)
    while ticking.held < 200:
        await ticking.call([0.001])
    await ticking.call([0.15] * 10)
    assert ticking.held < 20
    assert len(ticking.given_back) < 5, "in a few steps"
    await ticking.call([0.15] * 20)
    assert ticking.held <= 3


@pytest.mark.parametrize("per_second", [8, 50, 1_000, 20_000])
async def test_a_process_whose_calls_come_evenly_gives_nothing_back(ticking: Ticked, per_second: int) -> None:
    chance = random.Random(7)
    await ticking.call(chance.expovariate(per_second) for _ in range(10 * min(per_second, 2_000)))
    assert not ticking.given_back


class Promising(MemoryQuotaLedger):
    """A ledger that breaks its word: there is enough left, and it gives nothing."""

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], account: str = "") -> Sequence[Slice]:
        return [self._slice(tenant_id, ask.meter) for ask in asks]


async def test_a_ledger_that_breaks_its_word_is_not_asked_for_ever(mesh: Mesh) -> None:
    process = await mesh.process(ledger=Promising(mesh._limit))
    async with asyncio.timeout(5):
        assert not await mesh.charge(process)


async def test_a_pool_of_an_earlier_period_is_not_charged(mesh: Mesh) -> None:
    """As when a pool's clock was set back across the end of a period."""
    ledger = Clocked(mesh._limit)
    process = await mesh.process(ledger=ledger)
    (yesterday,) = await ledger.lease(mesh.tenant, [Ask("reads", 40, 40)], *await mesh.pool.accounts())
    ledger.time += timedelta(days=1)
    assert await mesh.charge(process), "now the process knows the period"
    assert await mesh.pool.add(mesh.tenant, yesterday, 40, time.monotonic() + 100)
    receipts = [await taken_of(process, mesh, (Charge("reads", 3),)) for _ in range(3)]
    assert {receipt.period_start for found in receipts for receipt in found} == {ledger._started()}
    given = ledger._given[mesh.tenant, "reads", yesterday.period_start]
    assert given < 3, "they are returned to their own period, but for fewer than a call needs"
