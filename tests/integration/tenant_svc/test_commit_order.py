"""Positions follow commit order: whoever has read a position has read all before it, however late one committed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Connection
from tenantmesh.runtime.ids import uuid7
from tenantmesh.tenant_svc import positions
from tenantmesh.tenant_svc.positions import lock_log
from tenantmesh.tenant_svc.tenants import creations_repository
from tenantmesh.tenant_svc.tenants.events import StoredTenantEvents
from tenantmesh.tenant_svc.tenants.tenants import Tenants
from tests.integration.tenant_svc.stage import new_tenant

LATE = 0.3


async def create_late(doors: Doors, drawn: asyncio.Event) -> TenantId:
    """Creates a tenant whose transaction draws its position at once and commits late."""
    tenant_id = TenantId(uuid7())
    async with doors.tenant(tenant_id) as connection:
        await lock_log(connection)
        await creations_repository.create(connection, [(tenant_id, new_tenant(), 1)])
        drawn.set()
        await asyncio.sleep(LATE)
    return tenant_id


async def read_while(events: StoredTenantEvents, busy: asyncio.Future[list[TenantId]], start: int) -> list[TenantId]:
    """What a reader sees that only ever moves forward, until the writers are done and a little longer."""
    seen: list[TenantId] = []
    position = start
    while True:
        last_round = busy.done()
        for event in await events.after(position, 100):
            position = event.position
            seen.append(event.tenant.id)
        if last_round:
            return seen
        await asyncio.sleep(0.005)


async def overtaking(doors: Doors, tenants: Tenants) -> tuple[list[TenantId], list[TenantId]]:
    """A transaction that commits late, and others that start after it has drawn; who committed, and who was seen."""
    events = StoredTenantEvents(doors)
    start = await events.head()
    drawn = asyncio.Event()
    late = asyncio.create_task(create_late(doors, drawn))
    await drawn.wait()

    async def others() -> list[TenantId]:
        made = await asyncio.gather(*(tenants.create(new_tenant(), None) for _ in range(5)))
        return [await late, *(tenant.id for tenant in made)]

    busy = asyncio.ensure_future(others())
    seen = await read_while(events, busy, start)
    return await busy, seen


async def test_no_event_is_skipped_because_its_transaction_committed_late(doors: Doors, tenants: Tenants) -> None:
    committed, seen = await overtaking(doors, tenants)
    assert sorted(seen) == sorted(committed)
    assert seen[0] == committed[0]  # the late one drew first, so everybody waited and it comes first


async def test_without_the_log_lock_that_event_is_skipped(
    doors: Doors, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail: the lock is what it guards."""
    monkeypatch.setattr(positions, "hold", _nothing)
    committed, seen = await overtaking(doors, tenants)
    assert committed[0] not in seen
    assert set(seen) <= set(committed[1:])


async def _nothing(_connection: Connection, _number: int) -> None:
    """Takes no lock."""


async def test_a_busy_log_is_read_whole_and_in_order(doors: Doors, tenants: Tenants) -> None:
    events = StoredTenantEvents(doors)
    start = await events.head()
    chance = random.Random(7)

    async def one() -> list[TenantId]:
        tenant = await tenants.create(new_tenant(), None)
        await asyncio.sleep(chance.random() / 100)
        await tenants.suspend(tenant.id, "test", "")
        await tenants.resume(tenant.id, "")
        return [tenant.id] * 3

    async def everybody() -> list[TenantId]:
        return [tenant_id for three in await asyncio.gather(*(one() for _ in range(40))) for tenant_id in three]

    busy = asyncio.ensure_future(everybody())
    seen = await read_while(events, busy, start)
    assert sorted(seen) == sorted(await busy)


async def test_a_transaction_that_rolls_back_leaves_no_event(doors: Doors, tenants: Tenants) -> None:
    events = StoredTenantEvents(doors)
    start = await events.head()
    tenant_id = TenantId(uuid7())

    async def fail(then: Callable[[], Awaitable[None]]) -> None:
        async with doors.tenant(tenant_id) as connection:
            await lock_log(connection)
            await creations_repository.create(connection, [(tenant_id, new_tenant(), 1)])
            await then()

    async def stumble() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail(stumble)
    after = await tenants.create(new_tenant(), None)
    assert [event.tenant.id for event in await events.after(start, 10)] == [after.id]
    assert await tenants.find(tenant_id) is None
