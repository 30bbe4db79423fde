"""The shared window on the event log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.tenant_svc.tenants.events import TenantEvent
from tests.unit.chassis.event_log.stored import MemoryEvents, until

NEVER = timedelta(hours=1)


def positions(events: object) -> list[int]:
    assert events is not None
    assert isinstance(events, list)
    return [event.position for event in events if isinstance(event, TenantEvent)]


@pytest.fixture
def events() -> MemoryEvents:
    log = MemoryEvents()
    for number in (1, 2, 3):
        log.append(number)
    return log


@pytest.fixture
async def tail(events: MemoryEvents) -> AsyncIterator[Tail[TenantEvent]]:
    tail = Tail(events, window=4, poll_interval=NEVER)
    await tail.start()
    yield tail
    await tail.close()


async def caught_up(tail: Tail[TenantEvent], position: int) -> None:
    tail.wake()
    await until(lambda: tail.head >= position)


async def test_it_begins_where_the_log_ends(tail: Tail[TenantEvent], events: MemoryEvents) -> None:
    assert tail.head == tail.floor == events.log[-1].position
    assert tail.since(tail.head) == []
    assert tail.since(tail.head - 1) is None


async def test_a_wake_makes_it_look(tail: Tail[TenantEvent], events: MemoryEvents) -> None:
    start = tail.head
    added = [events.append(number).position for number in (4, 5)]
    await caught_up(tail, added[-1])
    assert positions(tail.since(start)) == added
    assert positions(tail.since(added[0])) == added[1:]
    assert positions(tail.since(start, 1)) == added[:1]


async def test_a_position_between_two_events_is_as_good_as_the_first(
    tail: Tail[TenantEvent], events: MemoryEvents
) -> None:
    added = [events.append(number).position for number in (4, 5)]
    await caught_up(tail, added[-1])
    assert positions(tail.since(added[0] + 1)) == added[1:]


async def test_without_a_wake_it_looks_by_itself(events: MemoryEvents) -> None:
    tail = Tail(events, poll_interval=timedelta(milliseconds=5))
    await tail.start()
    start, position = tail.head, events.append(4).position
    await until(lambda: tail.head >= position)
    assert positions(tail.since(start)) == [position]
    await tail.close()


async def test_the_window_is_bounded_and_says_what_has_left_it(tail: Tail[TenantEvent], events: MemoryEvents) -> None:
    start = tail.head
    added = [events.append(number).position for number in range(10, 30)]
    await caught_up(tail, added[-1])
    assert len(tail._recent) <= 8
    assert tail.since(start) is None
    assert tail.since(tail.floor - 1) is None
    assert positions(tail.since(tail.floor)) == [each for each in added if each > tail.floor]


async def test_many_readers_cost_one_read(tail: Tail[TenantEvent], events: MemoryEvents) -> None:
    waiting = [asyncio.create_task(tail.moved(tail.head, 5)) for _ in range(100)]
    await asyncio.sleep(0)
    before = events.reads
    await caught_up(tail, events.append(4).position)
    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)
    assert events.reads - before <= 2


async def test_moved_does_not_wait_for_what_is_there(tail: Tail[TenantEvent], events: MemoryEvents) -> None:
    start = tail.head
    await caught_up(tail, events.append(4).position)
    async with asyncio.timeout(1):
        await tail.moved(start, 60)
    assert tail.head > start


async def test_a_silent_database_is_noticed_and_its_return_too(events: MemoryEvents) -> None:
    brief = timedelta(milliseconds=2)
    tail = Tail(events, poll_interval=brief, lost_after=timedelta(milliseconds=20))
    await tail.start()
    events.down = True
    async with asyncio.timeout(5):
        while not tail.lost:
            await tail.moved(tail.head, 5)
    events.down = False
    position = events.append(4).position
    await until(lambda: not tail.lost and tail.head >= position)
    assert positions(tail.since(position - 1)) == [position]
    await tail.close()


async def test_events_forgotten_while_out_of_contact_leave_no_silent_gap(
    tail: Tail[TenantEvent], events: MemoryEvents
) -> None:
    start = tail.head
    events.append(4)
    events.prune(events.append(5).position)
    last = events.append(6).position
    await caught_up(tail, last)
    assert tail.since(start) is None
    assert tail.since(last) == []


class Broken(MemoryEvents):
    """A log whose events were pruned, and that can't say at first where it ends."""

    breaks = 0

    async def head(self) -> int:
        if self.breaks:
            self.breaks -= 1
            raise RuntimeError("a fault")
        return await super().head()


async def test_a_fault_while_events_are_skipped_stops_nothing() -> None:
    events = Broken()
    events.append(1)
    tail = Tail(events, poll_interval=timedelta(milliseconds=2))
    await tail.start()
    events.breaks = 3
    events.append(2)
    events.prune(events.append(3).position)
    last = events.append(4).position
    await until(lambda: tail.head >= last)
    assert not events.breaks
    await tail.close()
