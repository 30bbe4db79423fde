"""The bounds of a purge: its role, tables that it does not know, watches that it must not break, and its keys."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.event_log.cursor_text import StreamCursor
from tenantmesh.chassis.event_log.tail import Tail
from tenantmesh.chassis.event_log.watch import FromCursor, Watch
from tenantmesh.chassis.signing.key_ring import KeyRing
from tenantmesh.chassis.signing.key_rows import SigningKeyRows
from tenantmesh.chassis.signing.signing_key import KeySchedule
from tenantmesh.deploy.stack.engines.valkey import Store
from tenantmesh.interceptors.tenants import TenantState
from tenantmesh.runtime import redis_client
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.settings import DatabaseSettings, RedisSettings
from tenantmesh.tenant_svc.history.events import StoredEntitlementEvents
from tenantmesh.tenant_svc.operations.operation import Operation, OperationState
from tenantmesh.tenant_svc.purges.purge import PurgeStep
from tenantmesh.tenant_svc.purges.tables import purge_keys
from tenantmesh.tenant_svc.schema import OUTAGE
from tenantmesh.tenant_svc.tenants.events import EventType, StoredTenantEvents
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import a_copy, as_role
from tests.integration.tenant_svc.purges.purging import (
    KEK,
    PATIENT,
    Purging,
    filled,
    interrupted,
    left,
    purging,
    stopping,
)
from tests.integration.tenant_svc.world import World

NEVER = timedelta(hours=1)


async def purged(purge: Purging, world: World) -> Operation:
    """A tenant that was purged, by its operation."""
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    ended = await purge.executor().run((await purge.started(tenant.id)).id)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error
    return ended


async def test_the_role_deletes_nothing_before_the_purge_has_begun(
    purge: Purging, world: World, migrated: WorkerDatabase
) -> None:
    tenant, other = await filled(world, purge), await filled(world, purge)

    async def deletes(table: str) -> int:
        statement = " ".join(("WITH gone AS (DELETE FROM", table, "RETURNING 1) SELECT count(*) AS rows FROM gone"))
        found = await as_role(migrated, "tenant_purger", statement, tenant=tenant.record)
        return int(found[0]["rows"])

    for state in ("served", "deleted"):
        if state == "deleted":
            await purge.deleted(tenant.id)
        assert [await deletes(table.fullname) for table in purge.rows.tables] == [0] * len(purge.rows.tables), state
    operation = await purge.started(tenant.id)
    await interrupted(lambda: purge.executor(stopping(PurgeStep.ANNOUNCE, stored=True)).run(operation.id))
    assert await deletes("tenant.operations") == 3
    assert (await left(world, other.id))["tenant.operations"] == 3


async def test_the_role_reads_its_tenant_and_writes_nothing(
    purge: Purging, world: World, migrated: WorkerDatabase
) -> None:
    tenant, other = await filled(world, purge), await filled(world, purge)
    seen = await as_role(migrated, "tenant_purger", "SELECT tenant_id FROM tenant.tenants", tenant=tenant.record)
    assert [row["tenant_id"] for row in seen] == [tenant.id]
    assert other.id != tenant.id
    for statement in (
        "UPDATE tenant.tenants SET state = 'DELETED'",
        "INSERT INTO tenant.tenant_slugs (tenant_id, slug) VALUES (gen_random_uuid(), 'mine')",
        "SELECT * FROM tenant.mesh_operations",
        "SELECT * FROM tenant.purge_keys",
        "DELETE FROM tenant.purge_proofs",
        "DELETE FROM jobs.pgqueuer",
        "TRUNCATE tenant.operations",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(migrated, "tenant_purger", statement, tenant=tenant.record)


async def test_a_proof_is_never_changed_and_never_forgotten(purge: Purging, world: World) -> None:
    await purged(purge, world)
    for statement in ("UPDATE tenant.purge_proofs SET proof = ''", "DELETE FROM tenant.purge_proofs",
                      "DELETE FROM tenant.tenant_tombstones", "DELETE FROM tenant.purge_keys"):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_role(world.database, "tenant_directory", statement)


async def test_a_row_in_a_table_that_no_purge_knows_prevents_the_proof(store: Store, postgres: WorkerDatabase) -> None:
    client = redis_client.connect(RedisSettings(url=store.url, cluster=store.cluster, timeout=PATIENT))
    with a_copy(postgres) as own:
        urls = {"url": own.url("tenant_app"), "system_url": own.url("tenant_directory")}
        database = Database(DatabaseSettings.model_validate(urls), schema="tenant")
        doors = Doors(database, OUTAGE)
        async with purging(own, doors, client) as purge:
            world = World(own, doors, purge.tenants)
            tenant = await filled(world, purge)
            await world.rows("CREATE TABLE tenant.notes (tenant_id uuid NOT NULL, text text)")
            await world.rows("INSERT INTO tenant.notes VALUES ($1, 'a secret')", tenant.id)
            await purge.deleted(tenant.id)
            ended = await purge.executor().run((await purge.started(tenant.id)).id)
            assert ended is not None
            assert ended.error is not None
            assert (ended.state, ended.error.reason) == (OperationState.FAILED, "TENANT_DATA_LEFT")
            assert ended.error.metadata["tables"] == "tenant.notes"
            assert (await left(world, tenant.id))["tenant.tenants"] == 1  # the tenant is there to be purged again
            await world.rows("GRANT SELECT ON tenant.notes TO tenant_purger")
            again = await purge.executor().run((await purge.started(tenant.id)).id)
            assert again is not None
            assert again.error is not None
            assert again.error.metadata["tables"] == "tenant.notes"
            await world.rows("DELETE FROM tenant.notes")
            last = await purge.executor().run((await purge.started(tenant.id)).id)
            assert last is not None
            assert last.state is OperationState.SUCCEEDED, last.error
        await database.close()
    await client.aclose()


async def test_a_watch_goes_on_over_a_purge_and_tells_who_was_away(purge: Purging, world: World, doors: Doors) -> None:
    """The events of the tenant are gone, so the log has fewer than before; a cursor from before them, or from the last
    of them, is as good as ever."""
    tenants, entitlements = StoredTenantEvents(doors), StoredEntitlementEvents(doors)
    before, before_of_entitlements = await tenants.head(), await entitlements.head()
    tenant = await filled(world, purge)
    await purge.deleted(tenant.id)
    last, last_of_entitlements = await tenants.head(), await entitlements.head()
    tail = Tail(tenants, poll_interval=NEVER, lost_after=NEVER)
    of_entitlements = Tail(entitlements, poll_interval=NEVER, lost_after=NEVER)
    await tail.start()
    await of_entitlements.start()
    operation = await purge.started(tenant.id)
    ended = await purge.executor().run(operation.id)
    assert ended is not None
    assert ended.state is OperationState.SUCCEEDED, ended.error

    (event,) = [each for each in await tenants.after(before, 100) if each.tenant.id == tenant.id]
    assert (event.type, event.tenant.state, event.tenant.slug) == (EventType.PURGED, TenantState.DELETED, "")
    assert event.position > last
    assert await tenants.head() >= event.position
    assert await entitlements.head() >= last_of_entitlements >= before_of_entitlements
    assert all(each.tenant_id != tenant.id for each in await entitlements.after(before_of_entitlements, 100))
    watch = Watch(tenants, tail, checkpoint_interval=NEVER)
    cursor = FromCursor(tenants.cursors.text(StreamCursor(last)))
    tail.wake()
    async with aclosing(watch.follow(cursor)) as changes, asyncio.timeout(10):
        seen = await anext(change.event async for change in changes if change.event is not None)
    assert (seen.type, seen.tenant.id) == (EventType.PURGED, tenant.id)
    of_entitlements.wake()
    async with asyncio.timeout(10):
        while of_entitlements.heard < time.monotonic() - 1:
            await asyncio.sleep(0.01)
    assert (tail.epoch, of_entitlements.epoch) == (0, 0)  # no window has restarted: streams of others went on
    await tail.close()
    await of_entitlements.close()


async def test_a_key_is_published_for_ever_and_the_next_one_before_it_signs(purge: Purging, doors: Doors) -> None:
    now = datetime.now(UTC)
    moment = now.timestamp()
    schedule = KeySchedule(timedelta(days=365), timedelta(minutes=10))
    ring = KeyRing(doors, SigningKeyRows(purge_keys), KEK, schedule, "NONE", lambda: moment)
    await ring.maintain()
    first = ring.signer()[0]
    moment += timedelta(days=365, minutes=-5).total_seconds()
    await ring.maintain()
    published = [key.kid for key in await purge.purges.keys()]
    assert len(published) == 2
    assert ring.signer()[0] == first
    moment += timedelta(minutes=20).total_seconds()
    assert ring.signer()[0] == published[-1] != first
    moment += timedelta(days=3650).total_seconds()
    await ring.maintain()
    assert {key.kid for key in ring.published()} >= set(published)
