"""Many at once: never one more than there is, everything in the end, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from collections.abc import Coroutine, Iterable
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, TypeVar

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import ResourceExhausted
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.tenant_svc.allocations.allocation import Mode, NewAllocation
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allowances import repository
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.metering import Allowances
from tests.integration.tenant_svc.stage import eventually

TAKER = "tests.integration.tenant_svc.allowances.taker"
PROCESSES = 3
MOMENTARY = timedelta(microseconds=1)
Answer = TypeVar("Answer")


async def taker(database: WorkerDatabase, tenant: TenantId, meter: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", TAKER, database.url("tenant_app").get_secret_value(), str(tenant), meter,
        cwd=Path.cwd(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_several_processes_are_given_exactly_what_there_is(
    migrated: WorkerDatabase, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=700)
    await allowances.grant(tenant, "api_requests", 200)
    await allowances.grant(tenant, "api_requests", 100, priority=3)
    takers = [await taker(migrated, tenant, "api_requests") for _ in range(PROCESSES)]
    try:
        for each in takers:
            assert each.stdout is not None
            assert await each.stdout.readline() == b"ready\n"
        # All are up before any begins.
        kept = [int(output) for output, _ in await asyncio.gather(*(each.communicate(b"go\n") for each in takers))]
    finally:
        for each in takers:
            if each.returncode is None:
                each.kill()
    assert sum(kept) == 1000, kept
    assert await allowances.given(tenant, "api_requests") == [(1000, 700)]


async def test_parallel_leases_end_exactly_at_the_limit(ledger: Ledger, allowances: Allowances) -> None:
    """The account is opened by all of them at once."""
    for _ in range(5):
        tenant = await allowances.tenant(api_requests=100)
        slices = await some_at_a_time(ledger.lease(tenant, [Ask("api_requests", 7, 1)]) for _ in range(20))
        granted = [each.granted for (each,) in slices]
        assert sorted(granted, reverse=True) == [7] * 14 + [2] + [0] * 5
        assert await allowances.given(tenant, "api_requests") == [(100, 100)]


async def test_leases_of_several_meters_in_any_order_never_wait_for_each_other(
    ledger: Ledger, allowances: Allowances
) -> None:
    meters = [await allowances.feature() for _ in range(3)]
    for _ in range(5):
        tenant = await allowances.tenant(**dict.fromkeys(meters, 60))
        for meter in meters:
            await allowances.grant(tenant, meter, 40)
        orders = [list(order) for order in permutations(meters)] * 5
        slices = await some_at_a_time(ledger.lease(tenant, [Ask(meter, 4, 2) for meter in order]) for order in orders)
        for order, given in zip(orders, slices, strict=True):
            assert [each.meter for each in given] == order
            assert len({each.granted for each in given}) == 1
        for meter in meters:
            assert await allowances.given(tenant, meter) == [(100, 60)]


async def test_accounts_are_opened_in_one_order(doors: Doors, allowances: Allowances) -> None:
    first, *later = sorted([await allowances.feature() for _ in range(7)])
    tenant = await allowances.tenant()

    async def opened(meters: list[str]) -> None:
        async with doors.tenant(tenant) as connection:
            await repository.open_accounts(connection, tenant, meters, None)

    async with doors.tenant(tenant) as connection:
        await repository.open_accounts(connection, tenant, [first], None)
        waiting = asyncio.create_task(opened([*later, first]))
        await eventually(allowances.somebody_waits)
        await asyncio.create_task(opened(later))  # at once: whoever waits for the first has none of these
    await waiting


class Customer:
    """Leases, returns and reserves at random, and knows what it has kept of each meter."""

    def __init__(self, ledger: Ledger, allocations: Allocations, tenant: TenantId, meters: list[str]) -> None:
        self._ledger, self._allocations, self._tenant, self._meters = ledger, allocations, tenant, meters
        self._chance = random.Random(7)
        self.kept = dict.fromkeys(meters, 0)

    async def act(self) -> None:
        await self._chance.choice([self._lease, self._lease, self._reserve])()

    async def _lease(self) -> None:
        asks = [Ask(meter, 9, 1) for meter in self._chance.sample(self._meters, len(self._meters))]
        for each in await self._ledger.lease(self._tenant, asks):
            back = self._chance.randint(0, each.granted)
            if back:
                await self._ledger.give_back(self._tenant, each.meter, back, each.period_start)
            self.kept[each.meter] += each.granted - back

    async def _reserve(self) -> None:
        amounts = {meter: self._chance.randint(1, 9) for meter in self._meters}
        lasts = self._chance.choice([MOMENTARY, timedelta(minutes=5)])
        try:
            made = await self._allocations.allocate(self._tenant, NewAllocation(amounts, Mode.NORMAL, lasts), None)
        except ResourceExhausted:
            return
        # The others are left to whoever runs short.
        if lasts > MOMENTARY and made.id is not None:
            await self._end(made.id, amounts)

    async def _end(self, allocation: uuid.UUID, amounts: dict[str, int]) -> None:
        if self._chance.random() < 0.5:
            await self._allocations.release(self._tenant, allocation)
            return
        used = {meter: self._chance.randint(0, amount) for meter, amount in amounts.items()}
        await self._allocations.commit(self._tenant, allocation, used)
        for meter, amount in used.items():
            self.kept[meter] += amount


async def test_everything_at_once_leaves_the_books_balanced(
    ledger: Ledger, allocations: Allocations, allowances: Allowances
) -> None:
    meters = [await allowances.feature() for _ in range(2)]
    tenant = await allowances.tenant(**dict.fromkeys(meters, 300))
    for meter in meters:
        await allowances.grant(tenant, meter, 100, priority=1)
        await allowances.grant(tenant, meter, 100, priority=2)
    customer = Customer(ledger, allocations, tenant, meters)
    await some_at_a_time(customer.act() for _ in range(200))
    while await allocations.expire():
        pass
    for meter in meters:
        ((given, _),) = await allowances.given(tenant, meter)
        assert given == customer.kept[meter]
    rest = await ledger.lease(tenant, [Ask(meter, 10_000, 0) for meter in meters])
    assert {each.meter: each.granted + customer.kept[each.meter] for each in rest} == dict.fromkeys(meters, 500)


async def some_at_a_time(calls: Iterable[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """The answers. As many calls at a time as there are connections: one that is refused as Unavailable has waited a
    second for another's lock, and here that means for ever."""
    turns = asyncio.Semaphore(8)

    async def in_turn(call: Coroutine[Any, Any, Answer]) -> Answer:
        async with turns:
            return await call

    return await asyncio.gather(*(in_turn(call) for call in calls))
