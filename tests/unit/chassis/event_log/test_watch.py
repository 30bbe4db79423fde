"""Following the event log from any point on, without a socket: order, cursors, checkpoints, and being cut."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import timedelta

import pytest

from tenantmesh.chassis.event_log import watch as watch_module
from tenantmesh.chassis.event_log.cursor_text import StreamCursor
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.chassis.event_log.watch import Change, Earliest, FromCursor, FromNow, Snapshot, Start, Watch
from tenantmesh.chassis.pages import uuid_tokens
from tenantmesh.interceptors.errors import Aborted, InvalidArgument, OutOfRange, Unavailable
from tenantmesh.tenant_svc.tenants.events import CURSORS, EventType, TenantEvent
from tests.unit.chassis.event_log.stored import MemoryEvents, tenant, until

NEVER = timedelta(hours=1)
WINDOW = 4


class Setting:
    """A log, its tail and a watch over both."""

    def __init__(self, checkpoint_interval: timedelta = NEVER) -> None:
        self.events = MemoryEvents()
        self.tail = Tail(self.events, window=WINDOW, poll_interval=timedelta(milliseconds=5))
        self.watch = Watch(self.events, self.tail, checkpoint_interval=checkpoint_interval)

    async def commit(self, *numbers: int) -> None:
        """Appends, and returns once the tail has seen it."""
        for number in numbers:
            self.events.append(number)
        self.tail.wake()
        await until(lambda: self.tail.head >= self.events.log[-1].position)


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    setting = Setting()
    for number in (1, 2, 3):
        setting.events.append(number)
    await setting.tail.start()
    yield setting
    await setting.tail.close()


async def read(stream: AsyncGenerator[Change[TenantEvent], None], count: int) -> list[Change[TenantEvent]]:
    async with asyncio.timeout(5):
        return [await anext(stream) for _ in range(count)]


async def first(setting: Setting, start: Start, count: int) -> list[Change[TenantEvent]]:
    stream = setting.watch.follow(start)
    try:
        return await read(stream, count)
    finally:
        await stream.aclose()


def numbers(changes: list[Change[TenantEvent]]) -> list[int | None]:
    """The tenants of the events; None for a checkpoint."""
    return [change.event.tenant.id.int if change.event else None for change in changes]


async def test_now_begins_with_a_checkpoint_and_then_what_happens(setting: Setting) -> None:
    stream = setting.watch.follow(FromNow())
    assert numbers(await read(stream, 1)) == [None]
    await setting.commit(4, 5)
    assert numbers(await read(stream, 2)) == [4, 5]
    await stream.aclose()


async def test_now_tells_nothing_from_before_though_the_tail_lags(setting: Setting) -> None:
    before = setting.tail.head
    setting.events.append(4)
    stream = setting.watch.follow(FromNow())
    await read(stream, 1)
    assert setting.tail.head == before
    await setting.commit(5)
    assert numbers(await read(stream, 1)) == [5]
    await stream.aclose()


async def test_earliest_tells_the_whole_log_and_says_when_it_has(setting: Setting) -> None:
    assert numbers(await first(setting, Earliest(), 5)) == [None, 1, 2, 3, None]


async def test_a_stream_says_when_it_has_caught_up(setting: Setting) -> None:
    told = await first(setting, Earliest(), 5)
    assert [change.caught_up for change in told] == [False, False, False, False, True]
    assert [change.caught_up for change in await first(setting, Snapshot(), 5)] == [False, False, False, False, True]
    assert [change.caught_up for change in await first(setting, FromCursor(told[2].cursor), 3)] == [False, False, True]
    assert [change.caught_up for change in await first(setting, FromNow(), 1)] == [True], "it has missed nothing"


@pytest.mark.parametrize("start", ["snapshot", "cursor"])
async def test_it_has_not_while_the_tail_lags(setting: Setting, start: str) -> None:
    await setting.commit(4, 5)
    in_the_window = (await first(setting, Earliest(), 5))[4].cursor
    stream = setting.watch.follow(Snapshot() if start == "snapshot" else FromCursor(in_the_window))
    seen = await read(stream, 1)
    setting.events.append(6)
    while not seen[-1].caught_up:
        seen += await read(stream, 1)
    assert numbers(seen)[-2:] == [6, None]
    await stream.aclose()


async def test_it_has_although_the_log_ends_with_events_that_are_gone(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge deletes events; the log's end stays where they were."""
    end = await setting.events.head() + 10

    async def beyond() -> int:
        return end

    monkeypatch.setattr(setting.events, "head", beyond)
    stream = setting.watch.follow(Snapshot())
    async with asyncio.timeout(10):
        seen = await read(stream, 1)
        while not seen[-1].caught_up:
            seen += await read(stream, 1)
    assert numbers(seen)[-1] is None
    await stream.aclose()


async def test_every_cursor_resumes_after_its_message(setting: Setting) -> None:
    told = await first(setting, Earliest(), 5)
    await setting.commit(4, 5)
    rest = {1: [1, 2, 3, 4, 5], 2: [2, 3, 4, 5], 3: [3, 4, 5], 4: [4, 5], 5: [4, 5]}
    for count, expected in rest.items():
        resumed = await first(setting, FromCursor(told[count - 1].cursor), 1 + len(expected))
        assert numbers(resumed) == [None, *expected]
        assert resumed[0].cursor == told[count - 1].cursor


async def test_history_longer_than_a_page_and_the_window_has_no_seam(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PAGE", 3)
    await setting.commit(*range(4, 40))
    stream = setting.watch.follow(Earliest())
    seen = numbers(await read(stream, 20))
    await setting.commit(40)  # while the stream is somewhere in history
    seen += numbers(await read(stream, 21))
    assert seen == [None, *range(1, 41)]
    await stream.aclose()


async def test_a_snapshot_is_the_tenants_as_they_are_then_what_follows(setting: Setting) -> None:
    setting.events.append(2, EventType.SUSPENDED)
    stream = setting.watch.follow(Snapshot())
    told = await read(stream, 5)
    assert numbers(told) == [None, 1, 2, 3, None]
    assert {change.event.type for change in told if change.event} == {EventType.SNAPSHOT}
    await setting.commit(7)
    assert numbers(await read(stream, 1)) == [7]
    await stream.aclose()


async def test_a_snapshot_never_tells_an_older_state_after_a_newer_one(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PAGE", 1)
    stream = setting.watch.follow(Snapshot())
    told = await read(stream, 2)  # the checkpoint and tenant 1
    setting.events.append(3, EventType.SUSPENDED)
    setting.events.append(3, EventType.RESUMED)
    setting.events.append(9)
    told += await read(stream, 5)
    await stream.aclose()
    versions = [(each.event.tenant.id.int, each.event.tenant.version) for each in told if each.event]
    assert versions == [(1, 1), (2, 1), (3, 2), (3, 3), (9, 1)]


async def test_a_snapshot_resumes_in_its_middle(setting: Setting) -> None:
    told = await first(setting, Snapshot(), 3)
    assert numbers(told) == [None, 1, 2]
    assert numbers(await first(setting, FromCursor(told[2].cursor), 3)) == [None, 3, None]
    assert numbers(await first(setting, FromCursor(told[0].cursor), 5)) == [None, 1, 2, 3, None]


async def test_an_idle_stream_says_that_it_lives() -> None:
    setting = Setting(checkpoint_interval=timedelta(milliseconds=10))
    await setting.tail.start()
    changes = await first(setting, FromNow(), 4)
    assert numbers(changes) == [None, None, None, None]
    assert len({change.cursor for change in changes}) == 1
    assert all(change.caught_up for change in changes)
    await setting.tail.close()


class HastyTail(Tail[TenantEvent]):
    """A tail on a clock of its own, whose every wait is disturbed half-way or ends a hair early, as timers do."""

    def __init__(self, events: MemoryEvents, parts: Sequence[float]) -> None:
        super().__init__(events)
        self.now = self.heard = 0.0
        self.parts = itertools.cycle(parts)

    @property
    def lost(self) -> bool:
        return False

    async def moved(self, position: int, seconds: float) -> None:
        self.now += seconds * next(self.parts)


@pytest.mark.parametrize("parts", [[1.0], [1 - 1e-9, 1.0], [0.5, 1 - 1e-9, 1.0]])
async def test_a_checkpoint_comes_when_it_is_due_however_the_waits_end(parts: list[float]) -> None:
    events = MemoryEvents()
    tail = HastyTail(events, parts)
    watch = Watch(events, tail, checkpoint_interval=timedelta(seconds=2), clock=lambda: tail.now)
    stream, sent = watch.follow(FromNow()), []
    for _ in range(5):
        await anext(stream)
        sent.append(tail.now)
    assert sent == pytest.approx([0, 2, 4, 6, 8])
    await stream.aclose()


@pytest.mark.parametrize(
    "bad", ["", "x", "AAAA", uuid_tokens(b"tm.list", tenant(0).id).token(tenant(1).id), "é", "\x00", "A" * 9999]
)
async def test_a_bad_cursor_is_refused_before_the_first_message(setting: Setting, bad: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await first(setting, FromCursor(bad), 1)
    assert [violation.field for violation in caught.value.violations] == ["cursor"]


async def test_a_cursor_whose_events_are_gone_is_refused_before_the_first_message(setting: Setting) -> None:
    cursors = [change.cursor for change in await first(setting, Earliest(), 4)]
    setting.events.prune(setting.events.log[1].position)
    for cursor in cursors[:2]:
        with pytest.raises(OutOfRange) as caught:
            await first(setting, FromCursor(cursor), 1)
        assert caught.value.reason == "CURSOR_EXPIRED"
    assert numbers(await first(setting, FromCursor(cursors[2]), 2)) == [None, 3]
    assert numbers(await first(setting, Earliest(), 2)) == [None, 3]


async def test_a_cursor_from_ahead_of_the_log_is_expired(setting: Setting) -> None:
    with pytest.raises(OutOfRange):
        await first(setting, FromCursor(CURSORS.text(StreamCursor(10_000))), 1)


async def test_events_that_go_while_history_is_told_end_the_stream(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "PAGE", 1)
    stream = setting.watch.follow(Earliest())
    assert numbers(await read(stream, 2)) == [None, 1]
    setting.events.prune(setting.events.log[-1].position)
    with pytest.raises(OutOfRange):
        await read(stream, 1)


async def test_a_log_that_was_put_back_to_an_earlier_state_ends_the_streams(setting: Setting) -> None:
    stream = setting.watch.follow(FromNow())
    await read(stream, 1)
    await setting.commit(4)
    await read(stream, 1)
    del setting.events.log[1:]  # as a restored backup or a failover to a replica that lagged
    setting.tail.wake()
    with pytest.raises(OutOfRange):
        await read(stream, 1)
    again = setting.watch.follow(FromNow())
    await read(again, 1)
    await setting.commit(5)
    assert numbers(await read(again, 1)) == [5]
    await again.aclose()


async def test_history_that_vanishes_without_a_horizon_ends_the_stream(setting: Setting) -> None:
    stream = setting.watch.follow(Earliest())
    await read(stream, 1)
    setting.events.log.clear()
    with pytest.raises(OutOfRange):
        await read(stream, 1)


async def test_a_slow_reader_is_cut_and_its_cursor_resumes(setting: Setting) -> None:
    stream = setting.watch.follow(FromNow())
    await read(stream, 1)
    await setting.commit(9)
    told = await read(stream, 1)
    for number in range(10, 40):  # far beyond the window, in pieces as a busy log would
        await setting.commit(number)
    with pytest.raises(Aborted) as caught:
        await read(stream, 1)
    assert caught.value.reason == "WATCH_TOO_SLOW"
    resumed = await first(setting, FromCursor(told[-1].cursor), 31)
    assert numbers(resumed) == [None, *range(10, 40)]


async def test_a_stream_ends_when_the_database_is_silent_for_too_long() -> None:
    setting = Setting()
    setting.tail._lost_after = 0.02
    await setting.tail.start()
    stream = setting.watch.follow(FromNow())
    await read(stream, 1)
    setting.events.down = True
    with pytest.raises(Unavailable):
        await read(stream, 1)
    with pytest.raises(Unavailable):
        await first(setting, FromNow(), 1)
    await setting.tail.close()
