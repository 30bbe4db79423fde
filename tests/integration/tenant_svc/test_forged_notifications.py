"""Any role of the database can notify any channel: what it sends is a reason to look, at a bounded rate."""

from __future__ import annotations

import asyncio
import time
import uuid

import pytest

from tenantmesh.runtime.database import Database, connect
from tenantmesh.runtime.database.notifications import PAUSE_SECONDS
from tenantmesh.tenant_svc.operations.endings import WAKE_ALL_SECONDS, Endings
from tests.fixtures.engines import WorkerDatabase

FLOOD = 1000


@pytest.mark.parametrize("channel", ["tenant_events", "entitlement_events", "operations"])
async def test_a_flood_by_a_role_of_another_service_costs_a_look_now_and_then(
    migrated: WorkerDatabase, database: Database, channel: str
) -> None:
    looks: list[str] = []
    listening = asyncio.Event()

    def look(payload: str) -> None:
        looks.append(payload)
        listening.set()

    attacker = await connect(migrated.url("auth_app"))
    try:
        async with database.listen(channel, look):
            await listening.wait()
            begun = time.monotonic()
            for _ in range(FLOOD):
                await attacker.execute("SELECT pg_notify($1, '')", channel)
            last = str(uuid.uuid4())
            await attacker.execute("SELECT pg_notify($1, $2)", channel, last)
            while last not in looks:
                await asyncio.sleep(0.01)
            elapsed = time.monotonic() - begun
    finally:
        await attacker.close()
    assert len(looks) <= elapsed / PAUSE_SECONDS + 4
    assert len(looks) < FLOOD


def test_waiting_calls_are_all_woken_as_rarely_as_they_look_by_themselves() -> None:
    now = 100.0
    endings = Endings(lambda: now)
    wanted = uuid.uuid4()
    with endings.awaited(wanted) as ended:
        endings.wake("")
        assert ended.is_set()
        ended.clear()
        for _ in range(1000):
            endings.wake("")
            endings.wake(str(uuid.uuid4()))
        assert not ended.is_set()
        endings.wake(str(wanted))
        assert ended.is_set(), "its own end wakes it at once"
        ended.clear()
        now += WAKE_ALL_SECONDS
        endings.wake("")
        assert ended.is_set()
