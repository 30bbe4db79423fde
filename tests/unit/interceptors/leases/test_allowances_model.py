"""Allowances against a model: whatever happens in whatever order, never more is served than there is, and everything is
when nothing was lost."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tenantmesh.interceptors.backends.memory.quotas import MemoryQuotaLedger, MemoryQuotaPool
from tenantmesh.interceptors.leases.allowances import LeasedQuota, Receipt
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Charge, Shortage
from tenantmesh.interceptors.tenants import TenantId

METERS = ("reads", "writes")
BEGIN = datetime(2026, 11, 23, tzinfo=UTC)
PERIOD = timedelta(seconds=100)


class Failing:
    """A store that answers late, and may lose what it is asked, or its answer."""

    def __init__(self, store: Any, world: World) -> None:
        self._store = store
        self._world = world
        self.modes: list[str] = []
        """What happens to the next questions; those after them are answered."""

    def __getattr__(self, name: str) -> Any:
        async def ask(*arguments: Any) -> Any:
            mode = self.modes.pop(0) if self.modes else "up"
            await asyncio.sleep(0)
            if mode == "refuses":
                self._world.lost = True
                raise StoreUnavailable("refused")
            answer = await getattr(self._store, name)(*arguments)
            await asyncio.sleep(0)
            if mode == "forgets":
                self._world.lost = True
                raise StoreUnavailable("no answer")
            return answer

        return ask


class World:
    """Three processes, a pool, a ledger, and what was served."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self.seconds = 0.0
        self.lost = False
        self.tenant = TenantId(uuid.uuid4())
        self.pool = Failing(MemoryQuotaPool(clock=lambda: self.seconds), self)
        ledger = MemoryQuotaLedger(lambda _, meter: self.limits[meter], period=PERIOD, now=self._now)
        self.ledger = Failing(ledger, self)
        self.processes = [self._process() for _ in range(3)]
        self.served: Counter[tuple[str, datetime]] = Counter()
        self.most: dict[tuple[str, datetime], int] = {}
        """The highest limit that each period has had."""
        self.taken: list[tuple[LeasedQuota, tuple[Receipt, ...]]] = []

    def _now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.seconds)

    def _process(self) -> LeasedQuota:
        return LeasedQuota(self.ledger, self.pool, clock=lambda: self.seconds)

    def period(self) -> datetime:
        return BEGIN + PERIOD * int(self.seconds // PERIOD.total_seconds())

    async def charge(self, place: int, charges: tuple[Charge, ...]) -> bool:
        process = self.processes[place]
        found = process.charge_now(self.tenant, charges, self.seconds)
        try:
            if found is None:
                found = await process.charge(self.tenant, charges)
        except StoreUnavailable:
            return False
        if isinstance(found, Shortage):
            return False
        for each in found:
            assert each.period_start is not None
            account = (each.holding.meter, each.period_start)
            assert each.period_start == self.period(), "units are used in their own period"
            self.served[account] += each.amount
            assert self.served[account] <= max(self.most.get(account, 0), self.limits[each.holding.meter])
        self.taken.append((process, found))
        return True

    async def burst(self, steps: list[tuple[int, tuple[Charge, ...]]]) -> None:
        self._note_limits()
        await asyncio.gather(*(self.charge(place, charges) for place, charges in steps))

    def refund(self, which: int) -> None:
        if self.taken:
            process, found = self.taken.pop(which % len(self.taken))
            process.refund(found)
            for each in found:
                assert each.period_start is not None
                self.served[each.holding.meter, each.period_start] -= each.amount

    def change(self, meter: str, limit: int) -> None:
        self.limits[meter] = limit
        for process in self.processes:
            process.forget(self.tenant)

    async def tick(self) -> None:
        """What otherwise happens five times a second."""
        for process in self.processes:
            await process.tick()

    async def restart(self, place: int) -> None:
        await self.processes[place].close()
        if self.processes[place].stats.forfeited:
            self.lost = True
        self.processes[place] = self._process()

    def _note_limits(self) -> None:
        for meter in METERS:
            account = (meter, self.period())
            self.most[account] = max(self.most.get(account, 0), self.limits[meter])

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    async def close(self) -> None:
        for process in self.processes:
            await process.close()

    async def everything_is_served(self) -> None:
        """When nothing was lost, as much is left as was not served."""
        for meter in METERS:
            for _ in range(400):
                before = self.served[meter, self.period()]
                for place in range(3):
                    await self.charge(place, (Charge(meter),))
                await self.tick()
                if self.served[meter, self.period()] == before:
                    self.advance(0.6)  # until refusals are forgotten, and pools are idle
                    if self.served[meter, self.period()] >= self.limits[meter]:
                        break
            assert self.served[meter, self.period()] >= self.limits[meter], meter


charges = st.sampled_from(
    [
        (Charge("reads"),),
        (Charge("reads"),),
        (Charge("writes"),),
        (Charge("reads", 3),),
        (Charge("reads", 40),),
        (Charge("reads"), Charge("writes")),
        (Charge("writes", 2), Charge("reads")),
    ]
)
modes = st.lists(st.sampled_from(["up", "up", "refuses", "forgets"]), max_size=8)
step = st.one_of(
    st.tuples(st.just("burst"), st.lists(st.tuples(st.integers(0, 2), charges), min_size=1, max_size=12)),
    st.tuples(st.just("refund"), st.integers(0, 50)),
    st.tuples(st.just("tick"), st.none()),
    st.tuples(st.just("advance"), st.sampled_from([0.001, 0.05, 0.4, 1.1])),
    st.tuples(st.just("restart"), st.integers(0, 2)),
)
failures = st.one_of(st.tuples(st.just("pool"), modes), st.tuples(st.just("ledger"), modes))
changes = st.one_of(
    st.tuples(st.just("advance"), st.sampled_from([30.0, 99.0, 100.0])),
    st.tuples(st.just("change"), st.tuples(st.sampled_from(METERS), st.integers(0, 60))),
)
small = st.fixed_dictionaries({"reads": st.integers(0, 60), "writes": st.integers(0, 20)})
large = st.fixed_dictionaries({"reads": st.integers(0, 3000), "writes": st.integers(0, 300)})


async def run(start: dict[str, int], steps: list[tuple[str, Any]], *, to_the_end: bool) -> None:
    world = World(dict(start))
    try:
        for what, how in steps:
            if what in {"pool", "ledger"}:
                getattr(world, what).modes = list(how)
            elif what == "change":
                world.change(*how)
            elif what in {"burst", "restart"}:
                await getattr(world, what)(how)
            elif what == "tick":
                await world.tick()
            else:
                getattr(world, what)(how)
            await asyncio.sleep(0)
        if to_the_end:
            assert not world.lost
            await world.everything_is_served()
    finally:
        await world.close()


@settings(max_examples=250, deadline=None)
@given(st.one_of(small, large), st.lists(st.one_of(step, step, step, failures, changes), max_size=40))
def test_never_more_is_served_than_there_is(start: dict[str, int], steps: list[tuple[str, Any]]) -> None:
    asyncio.run(run(start, steps, to_the_end=False))


@settings(max_examples=60, deadline=None)
@given(small, st.lists(step, max_size=25))
def test_everything_is_served_when_nothing_fails(start: dict[str, int], steps: list[tuple[str, Any]]) -> None:
    asyncio.run(run(start, steps, to_the_end=True))
