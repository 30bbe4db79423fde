"""The ledger against a model of it: whatever happens in whatever order, both say the same."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import FailedPrecondition, ResourceExhausted
from tenantmesh.interceptors.quotas import Ask, Slice
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc.allocations.allocation import Allocation, AllocationState, Mode, NewAllocation
from tenantmesh.tenant_svc.allocations.allocations import Allocations
from tenantmesh.tenant_svc.allocations.expiry import StoredReservations
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tenantmesh.tenant_svc.features.feature import Period
from tests.integration.tenant_svc.metering import Allowances

BEGINNING = datetime(2090, 5, 31, 22, 30, tzinfo=UTC)  # an hour and a half before a new month
Answer = TypeVar("Answer")


@dataclass
class ModelGrant:
    """A grant, with one entry of `left` a period in which it was used: what was left then."""

    id: uuid.UUID
    amount: int
    priority: int
    expires: datetime | None
    most: int
    least: int
    age: int
    void: bool = False
    left: dict[datetime, int] = field(default_factory=dict)
    burnt: dict[datetime, int] = field(default_factory=dict)

    def now(self, period: datetime) -> int:
        if period in self.left:
            return self.left[period]
        last = max(self.left, default=None)
        before = self.amount if last is None else self.left[last]
        return min(self.most, max(before, self.least))

    def burn(self, period: datetime, amount: int) -> None:
        self.left[period] = self.now(period) - amount
        self.burnt[period] = self.burnt.get(period, 0) + amount

    def refill(self, period: datetime, amount: int) -> None:
        self.burnt[period] -= amount
        if period == max(self.left):
            self.left[period] += amount

    @property
    def order(self) -> tuple[int, bool, datetime, int]:
        return self.priority, self.expires is None, self.expires or BEGINNING, self.age


@dataclass
class ModelMeter:
    """One meter: its limit, its grants, and what each period has given out of the plan."""

    period: Period
    limit: int | None
    grants: list[ModelGrant] = field(default_factory=list)
    from_plan: dict[datetime, int] = field(default_factory=dict)

    def usable(self, moment: datetime) -> list[ModelGrant]:
        live = [each for each in self.grants if not each.void and (each.expires is None or moment < each.expires)]
        return sorted(live, key=lambda each: each.order)

    def plan_left(self, period: datetime) -> int:
        return 10**12 if self.limit is None else max(0, self.limit - self.from_plan.get(period, 0))

    def left(self, moment: datetime) -> int:
        period = self.period.start_of(moment)
        return self.plan_left(period) + sum(each.now(period) for each in self.usable(moment))

    def burnt(self, period: datetime) -> int:
        return sum(each.burnt.get(period, 0) for each in self.grants)

    def take(self, moment: datetime, amount: int) -> None:
        period = self.period.start_of(moment)
        first = min(amount, self.plan_left(period))
        self.from_plan[period] = self.from_plan.get(period, 0) + first
        rest = amount - first
        for grant in self.usable(moment):
            if burn := min(rest, grant.now(period)):
                grant.burn(period, burn)
                rest -= burn
        assert rest == 0

    def put_back(self, period: datetime, amount: int) -> None:
        for grant in sorted(self.grants, key=lambda each: each.order, reverse=True):
            if back := min(amount, grant.burnt.get(period, 0)):
                grant.refill(period, back)
                amount -= back
        self.from_plan[period] = max(0, self.from_plan.get(period, 0) - amount)


@dataclass(frozen=True)
class Held:
    """Units that were leased."""

    meter: str
    period: datetime
    amount: int


class LedgerAgainstModel(RuleBasedStateMachine):
    """One tenant with two meters. Runs in a thread, and does everything in the loop of the test."""

    loop: asyncio.AbstractEventLoop
    doors: Doors
    allowances: Allowances

    leases = Bundle("leases")
    reservations = Bundle("reservations")
    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self.moment = BEGINNING
        self.ages = itertools.count()
        self.open: dict[uuid.UUID, tuple[Allocation, datetime]] = {}

    def run(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.doors, StoredReservations(self.doors), self.moment)

    @property
    def allocations(self) -> Allocations:
        return Allocations(self.doors, self.ledger, uuid7)

    @initialize(hourly=st.integers(0, 20), daily=st.integers(0, 20))
    def begin(self, hourly: int, daily: int) -> None:
        self.meters: dict[str, ModelMeter] = {}
        for period, limit in ((Period.HOUR, hourly), (Period.DAY, daily)):
            meter = self.run(self.allowances.feature(period=period.value))
            self.meters[meter] = ModelMeter(period, limit)
        self.names = list(self.meters)
        self.tenant = self.run(self.allowances.tenant(**{each: model.limit for each, model in self.meters.items()}))

    @rule(hours=st.sampled_from([0.25, 0.75, 1, 13, 24]))
    def time_goes_by(self, hours: float) -> None:
        self.moment += timedelta(hours=hours)

    @rule(meter=st.integers(0, 1), limit=st.none() | st.integers(0, 30))
    def the_limit_changes(self, meter: int, limit: int | None) -> None:
        self.meters[self.names[meter]].limit = limit
        self.run(self.allowances.limit(self.tenant, self.names[meter], limit))

    @rule(
        target=grants,
        meter=st.integers(0, 1),
        amount=st.integers(1, 15),
        priority=st.integers(0, 2),
        lasts=st.none() | st.integers(1, 40),
        rolls=st.tuples(st.integers(0, 15), st.integers(0, 15)).map(sorted),
    )
    def a_grant_is_made(
        self, meter: int, amount: int, priority: int, lasts: int | None, rolls: list[int]
    ) -> tuple[str, ModelGrant]:
        name, age = self.names[meter], next(self.ages)
        expires = None if lasts is None else self.moment + timedelta(hours=lasts)
        least, most = (min(units, amount) for units in rolls)
        period = self.meters[name].period.start_of(self.moment)
        id_ = self.run(
            self.allowances.grant(
                self.tenant, name, amount, priority=priority, expire_time=expires, min_rollover=least,
                max_rollover=most, balance_period=period, create_time=BEGINNING + timedelta(seconds=age),
                effective_time=BEGINNING - timedelta(days=40_000),
            )
        )  # fmt: skip
        made = ModelGrant(id_, amount, priority, expires, most, least, age, left={period: amount})
        self.meters[name].grants.append(made)
        return name, made

    @rule(grant=grants)
    def a_grant_is_voided(self, grant: tuple[str, ModelGrant]) -> None:
        grant[1].void = True
        self.run(self.allowances.void(grant[1].id))

    @rule(target=leases, asks=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), min_size=1, max_size=2))
    def lease(self, asks: list[tuple[int, int]]) -> Any:
        wanted = [Ask(self.names[place], need + more, need) for place, (more, need) in enumerate(asks)]
        self.reclaim_if_short({ask.meter: ask.need for ask in wanted if self.meters[ask.meter].limit is not None})
        enough = all(self.limited_left(ask.meter) >= ask.need for ask in wanted)
        slices = self.run(self.ledger.lease(self.tenant, wanted))
        for ask, given in zip(wanted, slices, strict=True):
            self.compare(ask, given, enough)
        held = [Held(each.meter, each.period_start, each.granted) for each in slices if each.limit is not None]
        return multiple(*(each for each in held if each.amount))

    def compare(self, ask: Ask, given: Slice, enough: bool) -> None:
        model = self.meters[ask.meter]
        granted = min(ask.want, self.limited_left(ask.meter)) if enough else 0
        assert given.granted == granted
        if model.limit is None:
            assert given.limit is None
            return
        model.take(self.moment, granted)
        period = model.period.start_of(self.moment)
        assert given.left == model.left(self.moment)
        in_grants = sum(each.now(period) for each in model.usable(self.moment))
        assert given.limit == model.limit + model.burnt(period) + in_grants
        assert (given.period_start, self.moment + given.ends_in) == (period, model.period.end_of(self.moment))

    def limited_left(self, meter: str) -> int:
        return 10**12 if self.meters[meter].limit is None else self.meters[meter].left(self.moment)

    @rule(held=consumes(leases), share=st.floats(0.1, 1))
    def give_back(self, held: Held, share: float) -> None:
        amount = max(1, int(held.amount * share))
        self.run(self.ledger.give_back(self.tenant, held.meter, amount, held.period))
        self.meters[held.meter].put_back(held.period, amount)

    @rule(
        target=reservations,
        amounts=st.tuples(st.integers(1, 9), st.integers(1, 9)),
        mode=st.sampled_from(Mode),
        minutes=st.integers(1, 1440),
    )
    def reserve(self, amounts: tuple[int, int], mode: Mode, minutes: int) -> Any:
        wanted = dict(zip(self.names, amounts, strict=True))
        self.reclaim_if_short(wanted)
        reach = {meter: min(amount, self.meters[meter].left(self.moment)) for meter, amount in wanted.items()}
        new = NewAllocation(wanted, mode, timedelta(minutes=minutes))
        try:
            made = self.run(self.allocations.allocate(self.tenant, new, None))
        except ResourceExhausted:
            assert mode is not Mode.BEST_EFFORT
            assert reach != wanted
            return multiple()
        assert {item.meter: item.allocated for item in made.items} == reach
        assert mode is Mode.BEST_EFFORT or reach == wanted
        if made.id is None:
            return multiple()
        for meter, amount in reach.items():
            self.meters[meter].take(self.moment, amount)
        self.open[made.id] = made, self.moment + new.time_to_live
        return made

    @rule(made=reservations, share=st.none() | st.floats(0, 1))
    def end_a_reservation(self, made: Allocation, share: float | None) -> None:
        assert made.id is not None
        used = {} if share is None else {item.meter: int(item.allocated * share) for item in made.items}
        is_open = made.id in self.open and self.open[made.id][1] > self.moment
        try:
            done = self.run(
                self.allocations.release(self.tenant, made.id)
                if share is None
                else self.allocations.commit(self.tenant, made.id, used)
            )
        except FailedPrecondition:
            assert not is_open
            return
        if made.id in self.open and done.state is not AllocationState.RESERVED:
            del self.open[made.id]
            self.return_rest(made, used)

    @rule()
    def sweep(self) -> None:
        while self.run(self.allocations.expire()):
            pass
        self.reclaim()

    def reclaim_if_short(self, wanted: dict[str, int]) -> None:
        """The ledger takes back what has expired only when something is missing."""
        if any(self.meters[meter].left(self.moment) < amount for meter, amount in wanted.items()):
            self.reclaim()

    def reclaim(self) -> None:
        for id_, (made, ends) in list(self.open.items()):
            if ends <= self.moment:
                del self.open[id_]
                self.return_rest(made, {})

    def return_rest(self, made: Allocation, used: dict[str, int]) -> None:
        for item in made.items:
            if rest := item.allocated - used.get(item.meter, 0):
                self.meters[item.meter].put_back(item.period_start, rest)

    @invariant()
    def the_books_are_equal(self) -> None:
        for meter, model in getattr(self, "meters", {}).items():
            periods = sorted({*model.from_plan, *(period for each in model.grants for period in each.burnt)})
            wanted = [
                (model.from_plan.get(each, 0) + model.burnt(each), model.from_plan.get(each, 0)) for each in periods
            ]
            stored = self.run(self.allowances.given(self.tenant, meter))
            assert [each for each in stored if each[0]] == [each for each in wanted if each[0]]


async def test_the_ledger_is_what_its_model_is(doors: Doors, allowances: Allowances) -> None:
    loop = asyncio.get_running_loop()

    class Machine(LedgerAgainstModel):
        pass

    Machine.loop, Machine.doors, Machine.allowances = loop, doors, allowances
    limits = settings(
        max_examples=40,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
    )
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=limits)
