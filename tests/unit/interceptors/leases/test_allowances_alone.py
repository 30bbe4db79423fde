"""Allowances where pool or ledger is away, silent or refuses: nothing is given twice, and what is lost is counted."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger
from tenantmesh.interceptors.errors import PermissionDenied
from tenantmesh.interceptors.leases.allowances import LeasedQuota
from tenantmesh.interceptors.leases.sources import LOST_AFTER
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Charge
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
