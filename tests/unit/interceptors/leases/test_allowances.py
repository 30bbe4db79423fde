"""Allowances as one process, and several, charge them: served to the last unit, and given back."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger
from tenantmesh.interceptors.errors import Internal
from tenantmesh.interceptors.leases import allowances
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.holding import Return
from tenantmesh.interceptors.leases.sources import Sources
from tenantmesh.interceptors.quotas import Ask, Charge, Shortage, Slice
from tenantmesh.interceptors.tenants import TenantId
from tests.unit.interceptors.leases.processes import BOTH, READS, Away, Mesh, taken_of


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
    (units,) = await mesh.ledger.lease(mesh.tenant, [Ask("writes", 5, 5)], *await mesh.pool.accounts())
    assert await mesh.pool.add(mesh.tenant, units, 5, time.monotonic() + 100)
    assert await mesh.charge(process, (Charge("writes", 7),))
    assert not await mesh.charge(process, (Charge("writes", 4),))
    assert await mesh.charge(process, (Charge("writes", 3),))


async def test_the_unlimited_is_asked_for_once(mesh: Mesh) -> None:
    process = await mesh.process()
    assert all([await mesh.charge(process, (Charge("open", 1000),)) for _ in range(50)])
    assert process.stats.ledger_calls == 1
    process.refund(await taken_of(process, mesh, (Charge("open"),)))


async def test_a_meter_that_is_none_is_our_fault(mesh: Mesh) -> None:
    process = await mesh.process()
    with pytest.raises(Internal, match="typo"):
        await process.charge(mesh.tenant, (Charge("typo"),))
    assert await mesh.charge(process), "and nobody else's"


async def test_what_is_given_back_can_be_taken_again(mesh: Mesh) -> None:
    process = await mesh.process()
    taken = [await taken_of(process, mesh, READS) for _ in range(100)]
    assert not await mesh.charge(process)
    process.refund(taken[0])
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
    taken = await taken_of(process, mesh, (Charge("much"),))
    await process.close()
    assert mesh.given("much") == 2_001
    assert await mesh.charge(process, (Charge("much"),)), "what is still served takes what it needs"
    assert mesh.given("much") == 2_002
    process.refund(taken)
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

    async def give_back(self, *arguments: Any) -> int:
        self.talking += 1
        self.most = max(self.most, self.talking)
        await asyncio.sleep(0.001)
        returned = await super().give_back(*arguments)
        self.talking -= 1
        return returned


@pytest.mark.parametrize("at_once", [True, False], ids=["everybody", "one by one"])
async def test_when_everything_changes_not_all_is_returned_at_once(mesh: Mesh, *, at_once: bool) -> None:
    """As with a new catalog, or when a thousand tenants are moved to another plan."""
    ledger = Busy(mesh._limit)
    process = LeasedQuota(ledger)
    tenants = [TenantId(uuid.uuid4()) for _ in range(200)]
    for tenant in tenants:
        process.refund(await taken_of(process, mesh, READS, tenant))
    if at_once:
        process.forget(None)
    else:
        for tenant in tenants:
            process.forget(tenant)
    await mesh.until(lambda: not any(ledger.given(tenant, "reads") for tenant in tenants))
    assert ledger.most == allowances.CONCURRENT_RETURNS
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
    assert await mesh.pool.add(mesh.tenant, units, 80, time.monotonic() + 100)
    mesh.limits["reads"] = 50
    process = await mesh.process()
    assert not await mesh.charge(process)


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


class Cancelling(MemoryQuotaLedger):
    """A ledger whose first answer comes just before a task is cancelled."""

    task: asyncio.Task[bool] | None = None

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], account: str = "") -> Sequence[Slice]:
        if self.task is not None:
            asyncio.get_running_loop().call_soon(self.task.cancel)  # comes before the waiter hears that it was served
            self.task = None
        return await super().lease(tenant_id, asks, account)


async def test_whoever_gives_up_as_it_is_served_gives_it_back(mesh: Mesh) -> None:
    ledger = Cancelling(mesh._limit)
    process = await mesh.process(ledger=ledger)
    ledger.task = waiting = asyncio.create_task(mesh.charge(process))
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [await mesh.charge(process) for _ in range(101)] == [True] * 100 + [False]


async def test_nobody_passes_those_who_wait(mesh: Mesh) -> None:
    process = await mesh.process()
    process.refund(await taken_of(process, mesh, (Charge("reads", 3),)))
    waiting = asyncio.create_task(mesh.charge(process, (Charge("reads", 5),)))
    await asyncio.sleep(0)
    assert process.held(mesh.tenant, "reads") == 3
    assert process.charge_now(mesh.tenant, READS, process.clock()) is None
    assert await waiting
    assert await mesh.charge(process)


class Slow(MemoryQuotaLedger):
    """A ledger that answers when it is told to."""

    def __init__(self, limits: Any) -> None:
        super().__init__(limits)
        self.may_answer = asyncio.Event()
        self.asked = 0

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], account: str = "") -> Sequence[Slice]:
        answer = await super().lease(tenant_id, asks, account)
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
    (units,) = await mesh.ledger.lease(mesh.tenant, [Ask("reads", 9, 9)], *await mesh.pool.accounts())
    sources = Sources(pool, mesh.ledger, time.monotonic)
    assert await sources.add(mesh.tenant, units, 9, time.monotonic() + 100) is None
    sources = Sources(pool, mesh.ledger, time.monotonic)
    assert await sources.give_back(mesh.tenant, Return("reads", 9, units.period_start, units.limit)) is None
    assert (mesh.given(), mesh.pool.held(mesh.tenant, "reads")) == (9, 18), "not returned to the ledger as well"
