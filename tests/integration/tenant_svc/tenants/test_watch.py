"""Following tenants on a real database: woken by commits, resumed by cursors, cut when it must be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.retention import pruning
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.chassis.event_log.watch import Change, Earliest, FromCursor, FromNow, Snapshot, Start, Watch
from tenantmesh.interceptors.directories.tenants import TenantDirectory
from tenantmesh.interceptors.errors import Aborted, OutOfRange
from tenantmesh.interceptors.tenants import TenantId, TenantState
from tenantmesh.runtime.database import Database
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tenants import repository
from tenantmesh.tenant_svc.tenants.events import EventType, StoredTenantEvents, TenantEvent
from tenantmesh.tenant_svc.tenants.source import PostgresTenantSource
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.listed import everybody
from tests.integration.tenant_svc.stage import as_superuser, eventually, new_tenant

NEVER = timedelta(hours=1)


class Following:
    """A tail that polls never, so that only a notification can move it, and a watch over it."""

    def __init__(self, doors: Doors, window: int) -> None:
        self.events = StoredTenantEvents(doors)
        self.tail = Tail(self.events, window=window, poll_interval=NEVER, lost_after=NEVER)
        self.watch = Watch(self.events, self.tail, checkpoint_interval=NEVER)


@asynccontextmanager
async def following(database: Database, window: int = 1000) -> AsyncIterator[Following]:
    made = Following(Doors(database, OUTAGE), window)
    await made.tail.start()
    async with database.listen(repository.EVENTS_CHANNEL, lambda _payload: made.tail.wake()):
        yield made
    await made.tail.close()


@pytest.fixture
async def follow(database: Database) -> AsyncIterator[Following]:
    async with following(database) as made:
        yield made


async def read(stream: AsyncGenerator[Change[TenantEvent], None], count: int) -> list[Change[TenantEvent]]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


async def until_settled(follow: Following, start: Start) -> list[Change[TenantEvent]]:
    """From the start to the checkpoint that says that the stream has caught up with what is committed by now."""
    committed = await follow.events.head()

    async def seen() -> bool:
        return follow.tail.head >= committed

    await eventually(seen)
    changes: list[Change[TenantEvent]] = []
    async with asyncio.timeout(10), aclosing(follow.watch.follow(start)) as stream:
        async for change in stream:
            changes.append(change)
            if change.event is None and len(changes) > 1:
                return changes
    raise AssertionError("the stream ended")


async def test_a_commit_wakes_the_stream_within_a_moment(follow: Following, tenants: Tenants) -> None:
    async with aclosing(follow.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        made = await tenants.create(new_tenant(), None)
        committed = time.monotonic()
        (change,) = await read(stream, 1)
        assert time.monotonic() - committed < 1
        assert change.event is not None
        assert (change.event.type, change.event.tenant) == (EventType.CREATED, made)


async def test_every_change_is_told_with_the_tenant_after_it(follow: Following, tenants: Tenants) -> None:
    async with aclosing(follow.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        made = await tenants.create(new_tenant(), None)
        suspended = await tenants.suspend(made.id, "unpaid", "")
        await tenants.suspend(made.id, "again", "")
        resumed = await tenants.resume(made.id, "")
        told = [(change.event.type, change.event.tenant) for change in await read(stream, 3) if change.event]
    assert told == [(EventType.CREATED, made), (EventType.SUSPENDED, suspended), (EventType.RESUMED, resumed)]


async def test_the_reason_is_kept_with_the_event(
    database: Database, tenants: Tenants, migrated: WorkerDatabase
) -> None:
    made = await tenants.create(new_tenant(), None)
    await tenants.suspend(made.id, "unpaid since March", "")
    statement = "select from tenant.tenant_events where tenant_id = $1 and reason = 'unpaid since March'"
    assert await as_superuser(migrated, statement, made.id) == "SELECT 1"


async def test_a_cursor_resumes_in_another_process(database: Database, tenants: Tenants) -> None:
    async with following(database) as one, aclosing(one.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        first = await tenants.create(new_tenant(), None)
        (change,) = await read(stream, 1)
        assert change.event is not None
        assert change.event.tenant == first
    missed = [await tenants.create(new_tenant(), None) for _ in range(3)]
    async with following(database) as other:
        told = await until_settled(other, FromCursor(change.cursor))
    assert [each.event.tenant for each in told if each.event] == missed


async def test_a_snapshot_holds_every_tenant_as_it_is(follow: Following, tenants: Tenants, lists: TenantLists) -> None:
    made = await tenants.create(new_tenant(), None)
    suspended = await tenants.suspend(made.id, "why", "")
    told = [change.event for change in await until_settled(follow, Snapshot()) if change.event]
    assert {event.type for event in told} == {EventType.SNAPSHOT}
    listed = await everybody(lists)
    assert [event.tenant for event in told] == listed
    assert suspended in listed


async def test_a_slow_reader_is_cut_and_goes_on_from_its_cursor(database: Database, tenants: Tenants) -> None:
    async with following(database, window=5) as made, aclosing(made.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        await tenants.create(new_tenant(), None)
        (last,) = await read(stream, 1)
        missed = [(await tenants.create(new_tenant(), None)).id for _ in range(30)]
        with pytest.raises(Aborted) as caught:
            await read(stream, 30)
        assert caught.value.reason == "WATCH_TOO_SLOW"
        told = await until_settled(made, FromCursor(last.cursor))
        assert [change.event.tenant.id for change in told if change.event] == missed


async def test_pruned_events_expire_the_cursors_before_them_and_no_others(
    database: Database, follow: Following, tenants: Tenants, lists: TenantLists, migrated: WorkerDatabase
) -> None:
    old = [await tenants.create(new_tenant(), None) for _ in range(3)]
    told = await until_settled(follow, Earliest())
    before, after = (cursor_of(told, tenant.id) for tenant in (old[1], old[2]))
    await as_superuser(migrated, "update tenant.tenant_events set update_time = update_time - interval '2 days'")
    kept = await tenants.create(new_tenant(), None)
    forgotten = await follow.events.prune(timedelta(days=1), 1_000_000)
    assert forgotten >= 3
    with pytest.raises(OutOfRange):  # a stream that was reading history when it went
        await follow.events.after(0, 10)
    async with following(database) as fresh:
        with pytest.raises(OutOfRange) as caught:
            await until_settled(fresh, FromCursor(before))
        assert caught.value.reason == "CURSOR_EXPIRED"
        for start in (FromCursor(after), Earliest()):
            changes = await until_settled(fresh, start)
            assert [change.event.tenant for change in changes if change.event] == [kept]
    assert await follow.events.prune(timedelta(days=1), 1_000_000) == 0
    assert kept.id in {tenant.id for tenant in await everybody(lists)}


def cursor_of(changes: list[Change[TenantEvent]], tenant_id: object) -> str:
    return next(change.cursor for change in changes if change.event and change.event.tenant.id == tenant_id)


async def test_retention_prunes_in_the_background_and_keeps_what_is_young(
    follow: Following, tenants: Tenants, migrated: WorkerDatabase
) -> None:
    old = await tenants.create(new_tenant(), None)
    age = "update tenant.tenant_events set update_time = update_time - interval '2 days' where tenant_id = $1"
    await as_superuser(migrated, age, old.id)
    young = await tenants.create(new_tenant(), None)
    head = await follow.events.head()
    retention = pruning(follow.events, keep=timedelta(days=1), interval=timedelta(milliseconds=10))
    await retention.start()

    async def forgotten() -> bool:
        try:
            return old.id not in await kept_tenants(follow.events)
        except OutOfRange:  # pruned between reading the horizon and reading on from it
            return False

    await eventually(forgotten)
    await retention.close()
    assert (await kept_tenants(follow.events))[-1] == young.id
    assert await follow.events.head() == head


async def kept_tenants(events: StoredTenantEvents) -> list[TenantId]:
    return [event.tenant.id for event in await events.after(await events.horizon(), 1_000_000)]


async def test_the_directory_of_this_service_sees_a_suspension_within_a_second(
    follow: Following, tenants: Tenants
) -> None:
    directory = TenantDirectory(PostgresTenantSource(tenants, follow.watch))
    await directory.start()
    made = await tenants.create(new_tenant(), None)
    assert (await directory.find(made.id)) == made.record
    assert (await directory.find(made.slug)) == made.record

    async def live() -> bool:
        return directory.live

    async def suspended() -> bool:
        record = await directory.find(made.id)
        return record is not None and record.state is TenantState.SUSPENDED

    await eventually(live)
    assert not await suspended()
    await tenants.suspend(made.id, "why", "")
    began = time.monotonic()
    await eventually(suspended)
    assert time.monotonic() - began < 1
    await directory.close()
