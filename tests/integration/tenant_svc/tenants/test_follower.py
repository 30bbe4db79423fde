"""A follower of the log of tenants: every event once and in order, whatever fails and however many processes run it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.follower import Follower
from tenantmesh.interceptors.errors import OutOfRange
from tenantmesh.runtime.database import Connection
from tenantmesh.tenant_svc.followers import FOLLOWERS
from tenantmesh.tenant_svc.tenants.events import StoredTenantEvents, TenantEvent
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.stage import as_superuser, eventually, new_tenant

LATER = timedelta(hours=1)
# Up to the last event of a tenant. Events of other tests are before it, and pruning takes the beginning of the log.
AGE = """update tenant.tenant_events set update_time = update_time - interval '9 days'
    where position <= (select max(position) from tenant.tenant_events where tenant_id = $1)"""


class Consumer:
    """Handles events by writing them down; `fail` makes the next batch fail after its work."""

    def __init__(self, doors: Doors, name: str = "") -> None:
        self.name = name or f"test-{uuid.uuid4().hex[:12]}"
        self.doors = doors
        self.handled: list[int] = []
        self.fail = False
        self.pause = 0.0

    def follower(self, interval: timedelta = LATER, *, from_now: bool = True) -> Follower[TenantEvent]:
        return Follower(
            self.name,
            StoredTenantEvents(self.doors),
            self.doors,
            FOLLOWERS,
            self._handle,
            interval=interval,
            from_now=from_now,
        )

    async def _handle(self, connection: Connection, events: Sequence[TenantEvent]) -> None:
        for event in events:  # a write of the same transaction, which must be there once and only if it commits
            await FOLLOWERS.add(connection, f"{self.name}-handled", f"{self.name}-{event.position}", event.position)
        await asyncio.sleep(self.pause)
        if self.fail:
            self.fail = False
            raise RuntimeError("the process is killed before its transaction commits")
        self.handled += [event.position for event in events]

    async def position(self) -> int | None:
        async with self.doors.system("where a test's follower is") as connection:
            return await FOLLOWERS.claim(connection, "tenant", self.name)


@pytest.fixture
async def consumer(doors: Doors, migrated: WorkerDatabase) -> AsyncIterator[Consumer]:
    made = Consumer(doors)
    yield made
    # As a migration does for a follower that is no longer part of the product.
    await as_superuser(migrated, "delete from tenant.followers where follower like $1", f"{made.name}%")


async def test_a_new_follower_handles_what_happens_from_then_on(consumer: Consumer, tenants: Tenants) -> None:
    before = await StoredTenantEvents(consumer.doors).head()
    follower = consumer.follower()
    await follower.start()
    for _ in range(3):
        await tenants.create(new_tenant(), None)
    follower.wake()

    async def three() -> bool:
        return len(consumer.handled) == 3

    await eventually(three)
    await follower.close()
    assert consumer.handled == sorted(consumer.handled)
    assert min(consumer.handled) > before
    assert await consumer.position() == consumer.handled[-1]


async def test_it_goes_on_where_it_was_after_a_restart(consumer: Consumer, tenants: Tenants) -> None:
    for _ in range(2):
        follower = consumer.follower()
        await follower.start()
        await tenants.create(new_tenant(), None)
        while await follower.step():
            pass
        await follower.close()
        await tenants.create(new_tenant(), None)  # while nobody follows
    follower = consumer.follower()
    await follower.step()
    assert len(consumer.handled) == len(set(consumer.handled)) == 4


async def test_work_that_fails_is_done_again_and_none_is_skipped(consumer: Consumer, tenants: Tenants) -> None:
    follower = consumer.follower(timedelta(milliseconds=5))
    await follower.start()
    consumer.fail = True
    made = await tenants.create(new_tenant(), None)
    await tenants.suspend(made.id, "why", "")
    follower.wake()

    async def both() -> bool:
        return len(consumer.handled) == 2

    await eventually(both)
    await follower.close()
    assert not consumer.fail
    assert consumer.handled == sorted(set(consumer.handled))


async def test_writes_and_position_are_one_transaction(
    consumer: Consumer, tenants: Tenants, migrated: WorkerDatabase
) -> None:
    follower = consumer.follower()
    await follower.start()
    await follower.close()
    begin = await consumer.position()
    await tenants.create(new_tenant(), None)
    written = "select 1 from tenant.followers where log = $1"
    consumer.fail = True
    with pytest.raises(RuntimeError):
        await follower.step()
    assert await consumer.position() == begin
    assert await as_superuser(migrated, written, f"{consumer.name}-handled") == "SELECT 0"
    await follower.step()
    assert await consumer.position() == consumer.handled[-1]
    assert await as_superuser(migrated, written, f"{consumer.name}-handled") == "SELECT 1"


async def test_a_follower_begins_with_the_oldest_event_whatever_is_pruned_meanwhile(
    consumer: Consumer, tenants: Tenants, migrated: WorkerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are pruned right after the follower has read where the log begins."""
    old = await tenants.create(new_tenant(), None)
    await as_superuser(migrated, AGE, old.id)
    last = await tenants.create(new_tenant(), None)
    horizon = StoredTenantEvents.horizon

    async def pruned_after(events: StoredTenantEvents) -> int:
        found = await horizon(events)
        while await events.prune(timedelta(days=8), 1000):
            pass
        return found

    monkeypatch.setattr(StoredTenantEvents, "horizon", pruned_after)
    follower = consumer.follower(from_now=False)
    await follower.start()
    await follower.close()
    monkeypatch.undo()
    while await follower.step():
        pass
    assert consumer.handled[-1] == await StoredTenantEvents(consumer.doors).head()
    assert last


async def test_of_several_processes_one_works_at_a_time_and_none_repeats(consumer: Consumer, tenants: Tenants) -> None:
    first = consumer.follower()
    await first.start()
    await first.close()
    for _ in range(5):
        await tenants.create(new_tenant(), None)
    consumer.pause = 0.05
    await asyncio.gather(*(consumer.follower().step() for _ in range(4)))
    assert len(consumer.handled) == len(set(consumer.handled)) == 5


async def test_retention_waits_for_the_slowest_follower(
    consumer: Consumer, tenants: Tenants, migrated: WorkerDatabase
) -> None:
    events = StoredTenantEvents(consumer.doors)
    await as_superuser(migrated, "delete from tenant.followers")  # those of other tests, which are slower
    follower = consumer.follower()
    await follower.start()
    await follower.close()
    old = await tenants.create(new_tenant(), None)
    await as_superuser(migrated, AGE, old.id)
    await tenants.create(new_tenant(), None)
    begin = await consumer.position()
    assert begin is not None
    while await events.prune(timedelta(days=8), 1000):
        pass
    assert await events.after(begin, 10), "the events that the follower needs are kept"
    await consumer.follower().step()
    while await events.prune(timedelta(days=8), 1000):
        pass
    with pytest.raises(OutOfRange):
        await events.after(begin, 10)
