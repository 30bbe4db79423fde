"""Following entitlements on a real database: commit order over two tables, snapshots, and cursors of one's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.cursor_text import StreamCursor
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.chassis.event_log.watch import Change, Earliest, FromCursor, FromNow, Snapshot, Start, Watch
from tenantmesh.interceptors.errors import Aborted, InvalidArgument, OutOfRange
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tenantmesh.tenant_svc.catalog_log.repository import ENTITLEMENTS_CHANNEL, record_catalog
from tenantmesh.tenant_svc.entitlements.entitlements import EntitlementQueries
from tenantmesh.tenant_svc.entitlements.source import PostgresEntitlementSource
from tenantmesh.tenant_svc.features.feature import FeatureValue
from tenantmesh.tenant_svc.grants.grants import Grants
from tenantmesh.tenant_svc.history.event import ChangeType, EntitlementEvent
from tenantmesh.tenant_svc.history.events import CURSORS, StoredEntitlementEvents
from tenantmesh.tenant_svc.overrides.overrides import Overrides
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tenants import events as tenant_events
from tenantmesh.tenant_svc.tenants.tenant import Tenant
from tenantmesh.tenant_svc.tenants.tenant_lists import TenantLists
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.integration.tenant_svc.entitled import ACTOR, Rows, grant_draft, override_draft
from tests.integration.tenant_svc.listed import everybody
from tests.integration.tenant_svc.stage import eventually, new_tenant

NEVER = timedelta(hours=1)
Changes = list[Change[EntitlementEvent]]


class Following:
    """A tail that polls never, so that only a notification can move it, and a watch over it."""

    def __init__(self, doors: Doors, window: int) -> None:
        self.events = StoredEntitlementEvents(doors)
        self.tail = Tail(self.events, window=window, poll_interval=NEVER, lost_after=NEVER)
        self.watch = Watch(self.events, self.tail, checkpoint_interval=NEVER)


@asynccontextmanager
async def following(database: Database, window: int = 1000) -> AsyncIterator[Following]:
    made = Following(Doors(database, OUTAGE), window)
    await made.tail.start()
    async with database.listen(ENTITLEMENTS_CHANNEL, lambda _payload: made.tail.wake()):
        yield made
    await made.tail.close()


@pytest.fixture
async def follow(database: Database) -> AsyncIterator[Following]:
    async with following(database) as made:
        yield made


async def read(stream: AsyncGenerator[Change[EntitlementEvent], None], count: int) -> Changes:
    async with asyncio.timeout(30):
        return [await anext(stream) for _ in range(count)]


async def until_settled(follow: Following, start: Start) -> Changes:
    """From the start to the checkpoint that says that the stream has caught up with what is committed by now."""
    committed = await follow.events.head()

    async def seen() -> bool:
        return follow.tail.head >= committed

    await eventually(seen)
    changes: Changes = []
    async with asyncio.timeout(30), aclosing(follow.watch.follow(start)) as stream:
        async for change in stream:
            changes.append(change)
            if change.event is None and len(changes) > 1:
                return changes
    raise AssertionError("the stream ended")


def told(changes: Changes) -> list[tuple[ChangeType, TenantId | None]]:
    return [(change.event.type, change.event.tenant_id) for change in changes if change.event]


async def change_catalog(doors: Doors, feature: str = "core") -> int:
    async with doors.system("a feature changes") as connection:
        await lock_log(connection)
        return await record_catalog(connection, feature=feature, actor=ACTOR, before="", after="x")


async def set_users(overrides: Overrides, tenant: Tenant, limit: int) -> None:
    await overrides.set(tenant.id, override_draft("users", FeatureValue.of_limit(limit)), ACTOR)


async def test_every_change_wakes_the_stream_in_commit_order(
    follow: Following, doors: Doors, acme: Tenant, globex: Tenant, overrides: Overrides, grants: Grants
) -> None:
    async with aclosing(follow.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        await set_users(overrides, acme, 5)
        made = await grants.create(globex.id, grant_draft(), None, ACTOR)
        await change_catalog(doors)
        await grants.void(globex.id, made.grant.id, "", ACTOR)
        await overrides.clear(acme.id, "users", "", ACTOR)
        changes = await read(stream, 5)
    assert told(changes) == [
        (ChangeType.OVERRIDE_SET, acme.id),
        (ChangeType.GRANT_CREATED, globex.id),
        (ChangeType.CATALOG_CHANGED, None),
        (ChangeType.GRANT_VOIDED, globex.id),
        (ChangeType.OVERRIDE_CLEARED, acme.id),
    ]
    first, catalog = changes[0].event, changes[2].event
    assert first is not None
    assert catalog is not None
    assert (first.feature, first.actor, first.plan_id, first.plan_version) == ("users", ACTOR, "premium", 1)
    assert (catalog.feature, catalog.plan_id, catalog.plan_version) == ("core", "", 0)


async def test_whoever_follows_from_a_snapshot_meets_the_tenants_that_come_after_it(
    follow: Following, tenants: Tenants
) -> None:
    snapshot = await until_settled(follow, Snapshot())
    made = await tenants.create(new_tenant(), None)
    followed = await until_settled(follow, FromCursor(snapshot[-1].cursor))
    (met,) = [change.event for change in followed if change.event]
    assert (met.tenant_id, met.type) == (made.id, ChangeType.PLAN_CHANGED)
    assert (met.plan_id, met.plan_version) == ("premium", 1)


async def test_suspending_a_tenant_is_no_change_of_its_entitlements(
    follow: Following, tenants: Tenants, acme: Tenant, overrides: Overrides
) -> None:
    async with aclosing(follow.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        await tenants.suspend(acme.id, "unpaid", "")
        await set_users(overrides, acme, 5)
        assert told(await read(stream, 1)) == [(ChangeType.OVERRIDE_SET, acme.id)]


async def test_a_cursor_resumes_in_another_process(
    database: Database, doors: Doors, acme: Tenant, overrides: Overrides
) -> None:
    async with following(database) as one, aclosing(one.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        await set_users(overrides, acme, 1)
        (change,) = await read(stream, 1)
    await set_users(overrides, acme, 2)
    position = await change_catalog(doors)
    assert await StoredEntitlementEvents(doors).head() == position
    async with following(database) as other:
        missed = await until_settled(other, FromCursor(change.cursor))
    assert told(missed) == [(ChangeType.OVERRIDE_SET, acme.id), (ChangeType.CATALOG_CHANGED, None)]
    assert missed[-1].cursor == CURSORS.text(StreamCursor(position))


async def test_a_snapshot_holds_every_tenant_with_its_plan_then_what_follows(
    follow: Following,
    tenants: Tenants,
    lists: TenantLists,
    acme: Tenant,
    globex: Tenant,
    overrides: Overrides,
    rows: Rows,
) -> None:
    gone = await tenants.create(new_tenant(), None)
    await rows.delete(gone.id)
    await set_users(overrides, acme, 5)
    async with aclosing(follow.watch.follow(Snapshot())) as stream:
        changes = await read(stream, 1)
        while changes[-1].event is not None or len(changes) == 1:
            changes += await read(stream, 1)
        await set_users(overrides, globex, 6)
        assert told(await read(stream, 1)) == [(ChangeType.OVERRIDE_SET, globex.id)]
    snapshot = [change.event for change in changes if change.event]
    assert {event.type for event in snapshot} == {ChangeType.SNAPSHOT}
    ids = [event.tenant_id for event in snapshot]
    assert ids == sorted(each.id for each in await everybody(lists))
    assert {acme.id, globex.id} < set(ids)
    assert gone.id not in ids
    (mine,) = [event for event in snapshot if event.tenant_id == acme.id]
    assert (mine.plan_id, mine.plan_version) == ("premium", 1)


async def test_a_snapshot_resumes_in_its_middle_without_those_that_changed_since(
    follow: Following, acme: Tenant, globex: Tenant, overrides: Overrides, tenants: Tenants
) -> None:
    """The tenant that changed is told once, as the event that it is: nothing older comes after something newer."""
    later = await tenants.create(new_tenant(), None)
    whole = await until_settled(follow, Snapshot())
    at_acme = next(change for change in whole if change.event and change.event.tenant_id == acme.id)
    await set_users(overrides, later, 5)
    resumed = await until_settled(follow, FromCursor(at_acme.cursor))
    assert told(resumed) == [(ChangeType.SNAPSHOT, globex.id), (ChangeType.OVERRIDE_SET, later.id)]


async def test_the_whole_log_is_kept(follow: Following, acme: Tenant, overrides: Overrides) -> None:
    await set_users(overrides, acme, 5)
    changes = await until_settled(follow, Earliest())
    positions = [change.event.position for change in changes if change.event]
    assert positions == sorted(set(positions))
    assert told(changes)[-1] == (ChangeType.OVERRIDE_SET, acme.id)


async def test_a_cursor_from_ahead_of_the_log_is_expired(follow: Following) -> None:
    """What a database that was restored from a backup makes of a good cursor."""
    ahead = CURSORS.text(StreamCursor(await follow.events.head() + 10_000))
    with pytest.raises(OutOfRange) as caught:
        await until_settled(follow, FromCursor(ahead))
    assert caught.value.reason == "CURSOR_EXPIRED"


async def test_a_cursor_of_the_tenants_log_is_none_of_this_one(follow: Following) -> None:
    foreign = tenant_events.CURSORS.text(StreamCursor(await follow.events.head()))
    for bad in (foreign, "garbage"):
        with pytest.raises(InvalidArgument):
            await until_settled(follow, FromCursor(bad))


async def test_a_slow_reader_is_cut_and_goes_on_from_its_cursor(
    database: Database, acme: Tenant, overrides: Overrides
) -> None:
    async with following(database, window=5) as made, aclosing(made.watch.follow(FromNow())) as stream:
        await read(stream, 1)
        await set_users(overrides, acme, 0)
        (last,) = await read(stream, 1)
        for limit in range(1, 31):
            await set_users(overrides, acme, limit)
        with pytest.raises(Aborted) as caught:
            await read(stream, 30)
        assert caught.value.reason == "WATCH_TOO_SLOW"
        missed = await until_settled(made, FromCursor(last.cursor))
    assert [change.event.after for change in missed if change.event] == [
        f"{limit} user{'s' * (limit != 1)}" for limit in range(1, 31)
    ]


async def test_pages_over_both_tables_have_no_seam(
    follow: Following, doors: Doors, acme: Tenant, overrides: Overrides
) -> None:
    start = await follow.events.head()
    for number in range(12):
        if number % 3:
            await set_users(overrides, acme, number)
        else:
            await change_catalog(doors)
    whole = await follow.events.after(start, 100)
    assert [event.tenant_id is None for event in whole] == [number % 3 == 0 for number in range(12)]
    for size in (1, 2, 5):
        paged: list[EntitlementEvent] = []
        position = start
        while page := await follow.events.after(position, size):
            paged += page
            position = page[-1].position
        assert paged == whole


async def test_whoever_has_read_a_position_has_read_all_before_it(
    database: Database, doors: Doors, tenants: Tenants, overrides: Overrides
) -> None:
    """Writers of both tables and of the tenants' log at once, some of which dawdle before they commit."""
    events = StoredEntitlementEvents(doors)
    several = [await tenants.create(new_tenant(), None) for _ in range(6)]
    start = await events.head()

    async def write(number: int) -> None:
        tenant = random.choice(several)
        match number % 3:
            case 0:
                await set_users(overrides, tenant, number)
            case 1:
                await tenants.suspend(tenant.id, "why", "")
                await tenants.resume(tenant.id, "")
            case 2:
                async with doors.system("a feature changes slowly") as connection:
                    await lock_log(connection)
                    await record_catalog(connection, feature="core", actor=ACTOR, before="", after=str(number))
                    await asyncio.sleep(random.random() / 100)

    writing = asyncio.gather(*(write(number) for number in range(60)))
    seen, position, last_round = [], start, False
    while not last_round:
        last_round = writing.done()
        for event in await events.after(position, 100):
            position = event.position
            seen.append(event)
        await asyncio.sleep(0)
    await writing
    assert seen == list(await events.after(start, 1000))
    assert len(seen) == 40


@pytest.mark.parametrize("change", ["set", "clear", "create", "void"])
async def test_every_change_waits_for_whoever_writes_to_the_log(
    doors: Doors, acme: Tenant, overrides: Overrides, grants: Grants, rows: Rows, change: str
) -> None:
    """A position that was drawn without the log's lock could become visible after a higher one."""
    await set_users(overrides, acme, 1)
    grant = (await grants.create(acme.id, grant_draft(), None, ACTOR)).grant
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "set": lambda: set_users(overrides, acme, 2),
        "clear": lambda: overrides.clear(acme.id, "users", "", ACTOR),
        "create": lambda: grants.create(acme.id, grant_draft(), None, ACTOR),
        "void": lambda: grants.void(acme.id, grant.id, "", ACTOR),
    }
    async with doors.system("somebody writes to the log") as connection:
        await lock_log(connection)
        changing = asyncio.ensure_future(changes[change]())
        await eventually(rows.somebody_waits_for_the_log)
        position = await record_catalog(connection, feature="core", actor=ACTOR, before="", after="x")
    await changing
    newest = await StoredEntitlementEvents(doors).after(position, 10)
    assert [event.tenant_id for event in newest] == [acme.id]


async def test_the_chain_of_this_service_learns_whose_entitlements_changed(
    follow: Following, doors: Doors, acme: Tenant, globex: Tenant, overrides: Overrides, rows: Rows
) -> None:
    source = PostgresEntitlementSource(EntitlementQueries(doors), follow.watch)
    stream = source.watch(None)
    async with asyncio.timeout(30):
        first = await anext(stream)
        assert (first.tenant_id, first.everybody) == (None, False)
        await set_users(overrides, acme, 5)
        changed = await anext(stream)
        assert (changed.tenant_id, changed.everybody) == (acme.id, False)
        await change_catalog(doors)
        catalog = await anext(stream)
        assert (catalog.tenant_id, catalog.everybody) == (None, True)
        resumed = source.watch(changed.cursor)
        assert (await anext(resumed)).cursor == changed.cursor
        assert (await anext(resumed)).everybody
    mine, theirs = await source.find(acme.id), await source.find(globex.id)
    assert mine is not None
    assert theirs is not None
    assert (mine.limit("users"), theirs.limit("users")) == (5, 1000)
    assert (mine.plan_id, mine.plan_version, mine.tenant_id) == ("premium", 1, acme.id)
    assert mine.has("biometric_auth")
    assert mine.rates["api"].burst == 400
    await rows.delete(acme.id)
    assert await source.find(acme.id) is None
