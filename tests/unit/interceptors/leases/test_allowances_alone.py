"""Allowances where pool or ledger is away, silent or refuses: nothing is given twice, and what is lost is counted."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import Any

import pytest

from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.limits import StoreAway, StoreUnavailable
from tenantmesh.interceptors.quotas import Charge, Shortage
from tenantmesh.interceptors.tenants import TenantId
from tests.unit.interceptors.leases.processes import BOTH, READS, Away, Mesh, taken_of


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
        if name == "answers":
            return asked

        async def particular(tenant: TenantId, *args: Any) -> Any:
            if tenant in self.refused:
                raise PermissionDenied("TENANT_SUSPENDED", "The tenant is suspended.")
            if tenant in self.silent:
                raise StoreUnavailable("a locked row")
            return await asked(tenant, *args)

        return particular


@pytest.mark.parametrize("tenants", [1, 20])
async def test_silence_about_tenants_is_no_lost_contact(mesh: Mesh, tenants: int) -> None:
    """However many: one stranger may have many tenants, and an installation may have one."""
    ledger = Particular(mesh.ledger)
    process = await mesh.process(ledger=ledger)
    ledger.silent = {TenantId(uuid.uuid4()) for _ in range(tenants)}
    for told in ("a locked row", "a moment ago"):
        for tenant in ledger.silent:
            with pytest.raises(StoreUnavailable, match=told) as caught:
                await process.charge(tenant, READS)
            assert type(caught.value) is StoreUnavailable
    assert await mesh.charge(process)


async def test_silence_about_nobody_in_particular_is_lost_contact(mesh: Mesh) -> None:
    ledger = Particular(mesh.ledger)
    process = await mesh.process(ledger=ledger)
    ledger.before = True
    with pytest.raises(StoreAway, match="away"):
        await process.charge(TenantId(uuid.uuid4()), READS)
    ledger.before = False
    with pytest.raises(StoreAway, match="a moment ago"):
        await process.charge(mesh.tenant, READS)
    await asyncio.sleep(1)
    assert await mesh.charge(process)


async def test_an_outage_is_found_out_once_however_many_ask(mesh: Mesh) -> None:
    asked = 0

    class Counting(MemoryQuotaLedger):
        async def answers(self) -> bool:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.01)
            return False

        async def lease(self, *_: Any) -> Any:
            raise StoreUnavailable("away")

    process = await mesh.process(ledger=Counting(mesh._limit))
    tenants = [TenantId(uuid.uuid4()) for _ in range(50)]
    found = await asyncio.gather(*(process.charge(tenant, READS) for tenant in tenants), return_exceptions=True)
    assert {type(error) for error in found} == {StoreAway}
    assert asked == 1


async def test_a_meter_that_is_used_up_stays_so_while_nobody_answers(mesh: Mesh) -> None:
    """Until its period ends or the entitlements change; a meter of which units are left is unknown."""
    pool, ledger = Away(mesh.pool), Away(mesh.ledger)
    process, fresh = await mesh.process(pool=pool, ledger=ledger), await mesh.process(pool=pool, ledger=ledger)
    dry, left = (Charge("writes"),), (Charge("reads", 50),)
    assert [await mesh.charge(process, dry) for _ in range(10)] == [True] * 10, "and was not yet refused"
    assert await mesh.charge(process)
    pool.before = ledger.before = True
    for _ in range(2):
        short = await process.charge(mesh.tenant, dry)
        assert isinstance(short, Shortage)
        assert (short.meter, short.limit) == ("writes", 10)
        with pytest.raises(StoreAway):
            await process.charge(mesh.tenant, left)
        await asyncio.sleep(1.1)  # longer than a refusal is remembered
    with pytest.raises(StoreAway):
        await fresh.charge(mesh.tenant, dry)
    process.forget(mesh.tenant)
    with pytest.raises(StoreAway):
        await process.charge(mesh.tenant, dry)


async def test_the_pool_is_a_reserve_of_units_that_were_given_out(mesh: Mesh) -> None:
    ledger = Away(mesh.ledger)
    processes = [await mesh.process(ledger=ledger, reserve_seconds=60) for _ in range(4)]
    served = sum([await mesh.charge(process, (Charge("much"),)) for process in processes for _ in range(3)])
    ledger.before = True
    await asyncio.sleep(1)
    assert mesh.pool.held(mesh.tenant, "much") > 9_900, "a hundredth of the limit, for all of them"
    given = mesh.given("much")
    for process in processes:
        with contextlib.suppress(StoreUnavailable):
            while await mesh.charge(process, (Charge("much", 100),)):
                served += 100
    assert given - 400 <= served <= given == mesh.given("much")


async def test_a_reserve_goes_back_when_its_tenant_is_idle(mesh: Mesh) -> None:
    processes = [await mesh.process() for _ in range(2)]
    for process in processes:
        for _ in range(3):
            assert await mesh.charge(process, (Charge("much"),))
    assert mesh.given("much") > 10_000
    await mesh.until(lambda: mesh.given("much") == 6)
    await mesh.until(lambda: not any(process.ticking for process in processes))


async def test_a_reserve_is_given_back_at_the_end(mesh: Mesh) -> None:
    process = await mesh.process(reserve_seconds=60)
    for _ in range(3):
        assert await mesh.charge(process, (Charge("much"),))
    await asyncio.sleep(0.5)
    assert mesh.given("much") > 10_000, "its tenant is idle"
    await process.close()
    assert mesh.given("much") == 3


async def test_a_reserve_is_given_back_when_the_entitlements_change(mesh: Mesh) -> None:
    process = await mesh.process(reserve_seconds=60)
    for _ in range(3):
        assert await mesh.charge(process, (Charge("much"),))
    await asyncio.sleep(0.5)
    process.forget(mesh.tenant)
    await mesh.until(lambda: mesh.given("much") == 3)


async def test_a_refusal_concerns_whoever_is_refused(mesh: Mesh) -> None:
    ledger = Particular(mesh.ledger)
    process = await mesh.process(ledger=ledger)
    for _ in range(6):
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

    async def give_back(self, *_: Any) -> int:
        await asyncio.Event().wait()
        return 0


async def test_returns_that_are_cut_off_are_counted_as_forfeited(mesh: Mesh) -> None:
    process = LeasedQuota(Stuck(mesh._limit), closing=0.05)
    taken = [*await taken_of(process, mesh, BOTH), *await taken_of(process, mesh, BOTH)]
    process.refund(taken)
    await process.close()
    assert process.stats.forfeited == 6


async def test_what_is_given_back_as_closing_begins_goes_back(mesh: Mesh) -> None:
    process = await mesh.process()
    taken = await taken_of(process, mesh, READS)
    assert process.ticking
    await mesh.until(lambda: not process.ticking)  # else it is stopped, and nothing happens in between
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
    held = process.held(mesh.tenant, "much")
    with pytest.raises(StoreUnavailable):
        await process.charge(mesh.tenant, (Charge("much", 100_000),))
    await asyncio.sleep(0.5)
    assert process.held(mesh.tenant, "much") == held > 0
    assert process.stats.forfeited == 0
