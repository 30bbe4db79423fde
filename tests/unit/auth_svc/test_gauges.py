"""The number of users against its limit, and telling it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from tenantmesh.auth_svc.accounts.accounts import Accounts, Registration
from tenantmesh.auth_svc.gauges.gauge import USERS, GaugeFull, Level, limit_reached, require_room
from tenantmesh.auth_svc.gauges.reporter import GaugeReporter
from tenantmesh.auth_svc.passwords.hashing import Hashing
from tenantmesh.auth_svc.passwords.passwords import PasswordRules
from tenantmesh.interceptors.errors import FailedPrecondition, ResourceExhausted, Unavailable
from tenantmesh.interceptors.tenants import TenantId
from tests.unit.auth_svc.memory import GOOD_PASSWORD, OTHER_PASSWORD, CountingHasher, MemoryTenants, MemoryUsers

SOON, LATER = timedelta(milliseconds=1), timedelta(hours=1)


@pytest.mark.parametrize(("limit", "level"), [(None, 10**9), (3, 2), (1, 0)])
def test_below_the_limit_there_is_room(limit: int | None, level: int) -> None:
    require_room(level, limit)


@pytest.mark.parametrize(("limit", "level"), [(3, 3), (3, 4), (0, 0)])
def test_a_full_gauge_says_which_it_is_whose_and_how_full(limit: int, level: int) -> None:
    tenant = MemoryTenants().make("acme")
    with pytest.raises(GaugeFull) as full:
        require_room(level, limit)
    refused = limit_reached(USERS, full.value, tenant)
    assert refused.reason == "LIMIT_REACHED"
    assert refused.metadata == {
        "gauge": "users", "limit": str(limit), "level": str(level), "scope": "tenant", "plan": "basic",
    }  # fmt: skip
    (violation,) = refused.quota_violations
    assert (violation.subject, violation.metric, violation.limit) == (f"tenant:{tenant.id}", "users", limit)


async def test_a_full_tenant_refuses_known_and_unknown_addresses_alike() -> None:
    users, hashing, tenant, told = MemoryUsers(), Hashing(CountingHasher()), MemoryTenants().make("acme"), []
    accounts = Accounts(users, PasswordRules.load(), hashing, on_change=lambda: told.append(len(users.accounts)))
    await accounts.register(tenant, Registration("alice@example.com", GOOD_PASSWORD, ""), 1)
    stored, refusals = dict(users.accounts), []
    for email in ("alice@example.com", "bob@example.com"):
        with pytest.raises(ResourceExhausted) as refused:
            await accounts.register(tenant, Registration(email, OTHER_PASSWORD, ""), 1)
        refusals.append((refused.value.message, refused.value.metadata))
    assert refusals[0] == refusals[1]
    assert (users.accounts, told) == (stored, [1])
    await accounts.register(tenant, Registration("bob@example.com", OTHER_PASSWORD, ""), 2)
    assert told == [1, 2]
    await hashing.close()


class MemoryLevels:
    """As LevelStore, and as Reports: what was told, and who is refused."""

    def __init__(self, tenants: int) -> None:
        ids = sorted(uuid.uuid4() for _ in range(tenants))
        self.levels = {TenantId(each): Level(TenantId(each), USERS, 1, 1) for each in ids}
        self.known: dict[TenantId, int] = {}
        self.told: list[Level] = []
        self.refused: dict[TenantId, Exception] = {}
        self.away = False
        self.noting = True
        self.attempts = 0
        self.most_at_once = self._at_once = 0
        self._happened = asyncio.Event()

    @property
    def tenants(self) -> list[TenantId]:
        return list(self.levels)

    def change(self, tenant: TenantId) -> None:
        known = self.levels[tenant]
        self.levels[tenant] = replace(known, level=known.level + 1, version=known.version + 1)

    async def unreported(self, after: Level | None, count: int) -> Sequence[Level]:
        since = after.tenant_id if after else uuid.UUID(int=0)
        return [
            level
            for tenant, level in self.levels.items()
            if tenant > since and level.version > self.known.get(tenant, 0)
        ][:count]

    async def reported(self, told: Level) -> None:
        if self.noting:
            self.known[told.tenant_id] = told.version
        self._happened.set()

    async def report(self, level: Level) -> None:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        self._at_once -= 1
        self.attempts += 1
        self._happened.set()
        if self.away:
            raise Unavailable("QUOTA_UNAVAILABLE", "away")
        if level.tenant_id in self.refused:
            raise self.refused[level.tenant_id]
        self.told.append(level)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits until enough was told that the condition is true."""
        async with asyncio.timeout(30):
            while not condition():
                self._happened.clear()
                await self._happened.wait()

    def all_told(self) -> bool:
        return all(self.known.get(tenant) == level.version for tenant, level in self.levels.items())


@asynccontextmanager
async def reporting(levels: MemoryLevels, interval: timedelta) -> AsyncIterator[GaugeReporter]:
    reporter = GaugeReporter(levels, levels, interval=interval)
    await reporter.start()
    yield reporter
    await reporter.close()


async def test_what_was_left_untold_is_told_at_the_start_and_in_small_batches() -> None:
    levels = MemoryLevels(100)
    async with reporting(levels, LATER):
        await levels.until(levels.all_told)
    assert {each.tenant_id for each in levels.told} == set(levels.tenants)
    assert len(levels.told) == 100
    assert levels.most_at_once <= 16


async def test_a_change_is_told_when_woken_and_only_the_newest() -> None:
    levels = MemoryLevels(2)
    here, _ = levels.tenants
    async with reporting(levels, LATER) as reporter:
        await levels.until(levels.all_told)
        for _ in range(5):
            levels.change(here)
            reporter.wake()
        await levels.until(levels.all_told)
    assert [each.level for each in levels.told if each.tenant_id == here] == [1, 6]


async def test_what_changes_while_others_are_told_is_not_forgotten() -> None:
    levels = MemoryLevels(40)
    async with reporting(levels, LATER) as reporter:
        await levels.until(lambda: len(levels.told) > 16)
        levels.change(levels.tenants[0])  # behind the place that has been reached
        reporter.wake()
        await levels.until(levels.all_told)
        assert levels.all_told()


async def test_nobody_is_asked_again_and_again_while_tenant_svc_is_away() -> None:
    levels = MemoryLevels(100)
    levels.away = True
    async with reporting(levels, LATER) as reporter:
        await levels.until(lambda: levels.attempts == 16)
        for _ in range(50):
            reporter.wake()
            await asyncio.sleep(0)
    assert levels.attempts == 16
    async with reporting(levels, SOON):
        await levels.until(lambda: levels.attempts > 16)
        levels.away = False
        await levels.until(levels.all_told)


async def test_a_level_that_is_not_taken_keeps_no_other_waiting() -> None:
    levels = MemoryLevels(60)
    stuck = levels.tenants[:20]
    levels.refused = {tenant: FailedPrecondition("TENANT_SUSPENDED", "later") for tenant in stuck[:10]}
    levels.refused |= {tenant: Unavailable("QUOTA_UNAVAILABLE", "never") for tenant in stuck[10:]}
    async with reporting(levels, SOON):
        await levels.until(lambda: len(levels.known) == 40)
        assert not set(stuck) & set(levels.known)
        levels.refused.clear()
        await levels.until(levels.all_told)


async def test_a_level_that_was_told_and_not_noted_is_told_again() -> None:
    levels = MemoryLevels(1)
    levels.noting = False
    async with reporting(levels, LATER):
        await levels.until(lambda: bool(levels.told))
    levels.noting = True
    async with reporting(levels, LATER):
        await levels.until(levels.all_told)
    assert len(levels.told) == 2
