"""An outbox and its relay: every row is sent at least once, and none keeps the others from being sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from tenantmesh.chassis.outbox import Outbox, Recipient, Relay
from tenantmesh.interceptors.errors import FailedPrecondition, Unavailable

SOON, LATER = timedelta(milliseconds=1), timedelta(hours=1)


@dataclass(frozen=True)
class Row:
    """What is to be sent: which thing, and the version of its state."""

    number: int
    version: int = 1


class MemoryOutbox(Outbox[Row], Recipient[Row]):
    """Both sides: the rows that wait, and what was sent."""

    def __init__(self, count: int) -> None:
        self.rows = {number: Row(number) for number in range(count)}
        self.marked: dict[int, int] = {}
        self.sent: list[Row] = []
        self.refused: dict[int, BaseException] = {}
        self.away = False
        self.marking = True
        self.attempts = 0
        self.most_at_once = self._at_once = 0
        self._happened = asyncio.Event()

    def change(self, number: int) -> None:
        row = self.rows[number]
        self.rows[number] = replace(row, version=row.version + 1)

    async def pending(self, after: Row | None, count: int) -> Sequence[Row]:
        since = -1 if after is None else after.number
        waiting = [row for row in self.rows.values() if row.version > self.marked.get(row.number, 0)]
        return [row for row in waiting if row.number > since][:count]

    async def mark_sent(self, row: Row) -> None:
        if self.marking:
            self.marked[row.number] = row.version
        self._happened.set()

    async def send(self, row: Row) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        self.attempts += 1
        self._happened.set()
        if self.away:
            raise Unavailable("QUOTA_UNAVAILABLE", "away")
        if row.number in self.refused:
            raise self.refused[row.number]
        self.sent.append(row)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until enough was sent that the condition is true."""
        async with asyncio.timeout(30):
            while not condition():
                self._happened.clear()
                await self._happened.wait()

    def all_told(self) -> bool:
        return all(self.marked.get(row.number) == row.version for row in self.rows.values())


@asynccontextmanager
async def relaying(
    outbox: MemoryOutbox, interval: timedelta, delay: timedelta = timedelta()
) -> AsyncIterator[Relay[Row]]:
    relay = Relay("a test", outbox, outbox, interval=interval, delay=delay)
    await relay.start()
    yield relay
    await relay.close()


async def test_what_waited_is_sent_at_the_start_and_in_small_batches() -> None:
    outbox = MemoryOutbox(100)
    async with relaying(outbox, LATER):
        await outbox.until(outbox.all_told)
    assert [row.number for row in outbox.sent] == list(range(100))
    assert outbox.most_at_once <= 16


async def test_a_change_is_sent_when_woken_and_only_the_newest() -> None:
    outbox = MemoryOutbox(2)
    async with relaying(outbox, LATER) as relay:
        await outbox.until(outbox.all_told)
        for _ in range(5):
            outbox.change(0)
            relay.wake()
        await outbox.until(outbox.all_told)
    assert [row.version for row in outbox.sent if row.number == 0] == [1, 6]


async def test_with_a_delay_nothing_is_sent_beside_the_call_that_woke_the_relay() -> None:
    outbox = MemoryOutbox(1)
    async with relaying(outbox, LATER, delay=timedelta(milliseconds=100)) as relay:
        await outbox.until(outbox.all_told)
        outbox.change(0)
        relay.wake()
        relay.wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not outbox.all_told()
        await outbox.until(outbox.all_told)
        assert [row.version for row in outbox.sent] == [1, 2]
        outbox.change(0)
        relay.wake()
    await asyncio.sleep(0.2)
    assert not outbox.all_told(), "a relay that was closed sends nothing"


async def test_what_changes_while_others_are_sent_is_not_forgotten() -> None:
    outbox = MemoryOutbox(40)
    async with relaying(outbox, LATER) as relay:
        await outbox.until(lambda: len(outbox.sent) > 16)
        outbox.change(0)  # behind the place that has been reached
        relay.wake()
        await outbox.until(outbox.all_told)
    assert Row(0, 2) in outbox.sent


async def test_a_recipient_that_is_away_is_not_asked_again_and_again() -> None:
    outbox = MemoryOutbox(100)
    outbox.away = True
    async with relaying(outbox, LATER) as relay:
        await outbox.until(lambda: outbox.attempts == 16)
        for _ in range(50):
            relay.wake()
            await asyncio.sleep(0)
    assert outbox.attempts == 16
    async with relaying(outbox, SOON):
        await outbox.until(lambda: outbox.attempts > 16)
        outbox.away = False
        await outbox.until(outbox.all_told)


async def test_a_row_that_is_refused_keeps_no_other_waiting() -> None:
    outbox = MemoryOutbox(60)
    outbox.refused = {number: FailedPrecondition("TENANT_SUSPENDED", "later") for number in range(10)}
    outbox.refused |= {number: Unavailable("QUOTA_UNAVAILABLE", "never") for number in range(10, 20)}
    async with relaying(outbox, SOON):
        await outbox.until(lambda: len(outbox.marked) == 40)
        assert not set(range(20)) & set(outbox.marked)
        outbox.refused.clear()
        await outbox.until(outbox.all_told)


async def test_a_row_that_was_sent_and_not_marked_is_sent_again() -> None:
    outbox = MemoryOutbox(1)
    outbox.marking = False
    async with relaying(outbox, LATER):
        await outbox.until(lambda: bool(outbox.sent))
    outbox.marking = True
    async with relaying(outbox, LATER):
        await outbox.until(outbox.all_told)
    assert len(outbox.sent) == 2


async def test_a_call_that_was_cancelled_is_made_again() -> None:
    outbox = MemoryOutbox(20)
    outbox.refused[3] = asyncio.CancelledError()
    async with relaying(outbox, SOON):
        await outbox.until(lambda: outbox.attempts >= 16)
        del outbox.refused[3]
        await outbox.until(outbox.all_told)
    assert outbox.all_told()
