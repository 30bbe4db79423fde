"""Reporting levels, in a database of its own: the outbox holds those of every tenant."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.gauges import repository
from tenantmesh.auth_svc.gauges.gauge import USERS, GaugeLevel
from tenantmesh.auth_svc.gauges.outbox import GaugeOutbox
from tenantmesh.auth_svc.schema import OUTAGE
from tenantmesh.chassis.doors import Doors
from tenantmesh.chassis.outbox import Relay
from tenantmesh.interceptors.errors import FailedPrecondition, Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tests.fixtures.engines import WorkerDatabase
from tests.integration.auth_svc.conftest import a_copy, as_superuser
from tests.integration.auth_svc.people import opened

SOON, LATER = timedelta(milliseconds=1), timedelta(hours=1)


class Recorder:
    """As Recipient: what was reported, and who is refused."""

    def __init__(self) -> None:
        self.levels: list[GaugeLevel] = []
        self.refused: dict[TenantId, Exception] = {}
        self.away = False
        self.attempts = 0
        self.most_at_once = self._at_once = 0
        self.gate = asyncio.Event()
        """While it is not set, nothing is answered after the first batch."""
        self.gate.set()
        self._happened = asyncio.Event()

    async def send(self, row: GaugeLevel) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        if len(self.levels) >= 16:
            await self.gate.wait()
        self._at_once -= 1
        self.attempts += 1
        self._happened.set()
        if self.away:
            raise Unavailable("QUOTA_UNAVAILABLE", "away")
        if row.tenant_id in self.refused:
            raise self.refused[row.tenant_id]
        self.levels.append(row)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until enough was reported that the condition is true."""
        async with asyncio.timeout(30):
            while not condition():
                self._happened.clear()
                await self._happened.wait()


@dataclass
class Levels:
    """Gauges in the database, and where they are reported to."""

    doors: Doors
    postgres: WorkerDatabase
    recorder: Recorder

    async def add(self, count: int) -> list[TenantId]:
        """That many tenants with one user each, in the order in which they are reported."""
        tenants = sorted(TenantId(uuid.uuid4()) for _ in range(count))
        await as_superuser(
            self.postgres,
            "INSERT INTO auth.gauges SELECT tenant, $2, 1, 1, 0 FROM unnest($1::uuid[]) AS tenant",
            tenants,
            USERS,
        )
        return tenants

    async def change(self, tenant: TenantId) -> None:
        async with self.doors.tenant(tenant) as connection:
            await repository.hold(connection, tenant, USERS)
            await repository.lift(connection, tenant, USERS, 1)

    async def unreported(self) -> set[TenantId]:
        async with self.doors.system("a test looks", read_only=True) as connection:
            return {level.tenant_id for level in await repository.unreported(connection, None, 1000)}

    async def until_unreported(self, left: Iterable[TenantId] = ()) -> None:
        """Waits until the levels of these tenants alone are not marked as reported."""
        for _ in range(3000):
            if await self.unreported() == set(left):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("some levels were never marked as reported")

    @asynccontextmanager
    async def reporting(self, interval: timedelta) -> AsyncIterator[Relay[GaugeLevel]]:
        relay = Relay("a test", GaugeOutbox(self.doors), self.recorder, interval=interval)
        await relay.start()
        try:
            yield relay
        finally:
            await relay.close()


@pytest.fixture(scope="module")
def own(postgres: WorkerDatabase) -> Iterator[WorkerDatabase]:
    with a_copy(postgres) as own:
        yield own


@pytest.fixture(scope="module")
async def opened_database(own: WorkerDatabase) -> AsyncIterator[Database]:
    async with opened(own) as database:
        yield database


@pytest.fixture
async def levels(own: WorkerDatabase, opened_database: Database) -> Levels:
    await as_superuser(own, "DELETE FROM auth.gauges")
    return Levels(Doors(opened_database, OUTAGE), own, Recorder())


async def test_what_was_left_unreported_is_reported_at_the_start_and_in_small_batches(levels: Levels) -> None:
    tenants = await levels.add(100)
    async with levels.reporting(LATER):
        await levels.until_unreported()
    assert {each.tenant_id for each in levels.recorder.levels} == set(tenants)
    assert len(levels.recorder.levels) == 100
    assert levels.recorder.most_at_once <= 16


async def test_a_change_is_reported_when_woken_and_only_the_newest(levels: Levels) -> None:
    here, _ = await levels.add(2)
    async with levels.reporting(LATER) as relay:
        await levels.until_unreported()
        for _ in range(5):
            await levels.change(here)
        for _ in range(5):
            relay.wake()
        await levels.until_unreported()
    assert [each.level for each in levels.recorder.levels if each.tenant_id == here] == [1, 6]


async def test_what_changes_while_others_are_reported_is_not_forgotten(levels: Levels) -> None:
    first, *_ = await levels.add(40)
    levels.recorder.gate.clear()
    async with levels.reporting(LATER) as relay:
        await levels.recorder.until(lambda: len(levels.recorder.levels) == 16)
        await levels.change(first)  # behind the place that has been reached
        relay.wake()
        levels.recorder.gate.set()
        await levels.until_unreported()
    assert [each.level for each in levels.recorder.levels if each.tenant_id == first] == [1, 2]


async def test_nobody_is_asked_again_and_again_while_tenant_svc_is_away(levels: Levels) -> None:
    await levels.add(100)
    recorder = levels.recorder
    recorder.away = True
    async with levels.reporting(LATER) as relay:
        await recorder.until(lambda: recorder.attempts == 16)
        for _ in range(50):
            relay.wake()
            await asyncio.sleep(0.001)
    assert recorder.attempts == 16
    async with levels.reporting(SOON):
        await recorder.until(lambda: recorder.attempts > 16)
        recorder.away = False
        await levels.until_unreported()


async def test_a_level_that_is_not_taken_keeps_no_other_waiting(levels: Levels) -> None:
    stuck = (await levels.add(60))[:20]
    refused = levels.recorder.refused
    refused.update({tenant: FailedPrecondition("TENANT_SUSPENDED", "later") for tenant in stuck[:10]})
    refused.update({tenant: Unavailable("QUOTA_UNAVAILABLE", "never") for tenant in stuck[10:]})
    async with levels.reporting(SOON):
        await levels.until_unreported(stuck)
        refused.clear()
        await levels.until_unreported()
    assert {level.tenant_id for level in levels.recorder.levels} >= set(stuck)


async def test_a_level_that_was_reported_and_not_marked_is_reported_again(
    levels: Levels, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*_: object) -> None:
        await asyncio.Event().wait()

    (tenant,) = await levels.add(1)
    with monkeypatch.context() as patched:
        patched.setattr(repository, "mark_reported", killed)
        async with levels.reporting(LATER):
            await levels.recorder.until(lambda: bool(levels.recorder.levels))
    assert await levels.unreported() == {tenant}
    async with levels.reporting(LATER):
        await levels.until_unreported()
    assert len(levels.recorder.levels) == 2
