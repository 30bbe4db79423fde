"""Allowances of a day when the day ends, and when the ledger's clock is set, over four processes of two services."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from tenantmesh.deploy.postgres import DATABASE
from tests.fixtures.mesh import Tenant
from tests.fixtures.processes import Four, made, ways_of
from tests.hammer import Tally, Way, exhaust, outcome

METER = "api_requests"
LIMIT = 2000


class LedgersClock:
    """The clock that says which day it is: PostgreSQL's, which services find as `now()`. Their schema stands before
    pg_catalog in their search paths, so a function there comes first."""

    def __init__(self, four: Four) -> None:
        self._postgres = four.mesh.stack.engines.postgres

    def _sql(self, script: str, **variables: str) -> str:
        return self._postgres.sql(script, DATABASE, **variables)

    def set(self, moment: datetime) -> None:
        """Sets it, and ends all connections, whose statements know the other clock."""
        ahead = f"{(moment - datetime.now(UTC)).total_seconds():.6f} seconds"
        for name in ("now", "statement_timestamp"):
            self._sql(
                f"CREATE OR REPLACE FUNCTION tenant.{name}() RETURNS timestamptz STABLE LANGUAGE sql "
                f"RETURN pg_catalog.{name}() + interval '{ahead}'"
            )
        self._sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'tenant\\_%'")

    def given(self, tenant: Tenant) -> dict[str, int]:
        """What was given out, by day."""
        rows = self._sql(
            "SELECT to_char(period_start AT TIME ZONE 'UTC', 'YYYY-MM-DD'), given FROM tenant.quota_ledger "
            "WHERE tenant_id = :'tenant' AND feature_id = :'meter' ORDER BY 1",
            tenant=tenant.id,
            meter=METER,
        )
        return {day: int(given) for day, given in (row.split("|") for row in rows.splitlines())}


async def used_up(clock: LedgersClock, tenant: Tenant, ways: list[Way], tally: Tally, day: str) -> dict[str, int]:
    """Calls until the day's allowance is given out and nothing more is served; what was given, by day."""
    async with asyncio.timeout(60):
        while True:
            tally.last_served = time.monotonic()
            await exhaust(ways, tally=tally)
            given = clock.given(tenant)
            if given.get(day) == LIMIT:
                return given


async def test_each_day_has_its_allowance_whatever_the_clock_does(
    doomed: Four, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, tally = LedgersClock(doomed), Tally()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=3)
    before, after = (f"{midnight + timedelta(days=days):%Y-%m-%d}" for days in (-1, 0))
    async with made(doomed) as world:
        plan = await world.plan(users=10, rates={"api": (100_000, 100_000)}, **{METER: LIMIT})
        tenant = await world.tenant("days", plan=plan)
        ada = await world.user(tenant)
        async with ways_of(doomed, tenant, ada.token) as ways:
            clock.set(midnight - timedelta(seconds=1.5))
            given = await used_up(clock, tenant, ways, tally, after)
            with capsys.disabled():
                print(f"\nover midnight: {tally.units} served, {given} given")
            assert LIMIT < tally.units <= sum(given.values())
            assert given[before] <= LIMIT

            clock.set(midnight - timedelta(hours=12))
            given = await used_up(clock, tenant, ways, tally, before)
            with capsys.disabled():
                print(f"set back: {tally.units} served, {given} given")
            assert tally.units <= 2 * LIMIT

            clock.set(midnight + timedelta(hours=12))
            assert {await outcome(way.call) for way in ways for _ in range(20)} == {"QUOTA_EXHAUSTED"}
    assert given == {before: LIMIT, after: LIMIT}
