"""The ledger on a real database: what it gives, what it takes back, and from where."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenantmesh.chassis.doors import Doors
from tenantmesh.interceptors.errors import NotFound, Unavailable
from tenantmesh.interceptors.limits import StoreUnavailable
from tenantmesh.interceptors.quotas import Ask
from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.runtime.database import Database
from tenantmesh.runtime.ids import uuid7
from tenantmesh.runtime.settings import DatabaseSettings
from tenantmesh.tenant_svc.allowances import repository
from tenantmesh.tenant_svc.allowances.ledger import Ledger, PostgresLedger
from tenantmesh.tenant_svc.features.feature import Period
from tenantmesh.tenant_svc.schema import OUTAGE
from tests.fixtures.engines import WorkerDatabase
from tests.integration.tenant_svc.metering import Allowances, lease_one, ledger_at
from tests.integration.tenant_svc.stage import eventually

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)


async def test_what_is_wanted_is_given_until_nothing_is_left(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    first = await lease_one(ledger, tenant, "api_requests", 7)
    assert (first.granted, first.left, first.limit) == (7, 3, 10)
    second = await lease_one(ledger, tenant, "api_requests", 7)
    assert (second.granted, second.left, second.limit) == (3, 0, 10)
    third = await lease_one(ledger, tenant, "api_requests", 7)
    assert (third.granted, third.left, third.limit) == (0, 0, 10)
    assert await allowances.given(tenant, "api_requests") == [(10, 10)]


async def test_less_than_is_needed_is_not_given(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=4)
    refused = await lease_one(ledger, tenant, "api_requests", 8, need=5)
    assert (refused.granted, refused.left) == (0, 4)
    assert (await lease_one(ledger, tenant, "api_requests", 8, need=4)).granted == 4


async def test_the_plan_limits_where_nothing_else_does(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant()
    assert (await lease_one(ledger, tenant, "api_requests", 1)).limit == 10_000  # premium


async def test_an_unlimited_meter_needs_no_account(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=None)
    given = await lease_one(ledger, tenant, "api_requests", 10**15)
    assert (given.granted, given.limit) == (10**15, None)
    assert await allowances.given(tenant, "api_requests") == []


async def test_what_is_unlimited_for_a_time_is_so_until_then(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=None)
    assert (await lease_one(ledger, tenant, "api_requests", 1)).ends_in == await until_midnight(allowances)
    soon = datetime.now(UTC) + timedelta(seconds=5)
    await allowances.limit(tenant, "api_requests", None, expires=soon)
    assert (await lease_one(ledger, tenant, "api_requests", 1)).ends_in <= timedelta(seconds=5)
    await allowances.limit(tenant, "api_requests", 10, expires=soon)
    assert (await lease_one(ledger, tenant, "api_requests", 1)).ends_in == await until_midnight(allowances)


async def until_midnight(allowances: Allowances) -> Any:
    """What is left of the day by the database's clock, but for a few seconds."""
    now: datetime = await allowances.superuser.fetchval("select now()")
    tomorrow = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return pytest.approx(tomorrow - now, abs=timedelta(seconds=5))


async def test_several_meters_are_given_all_or_nothing(ledger: Ledger, allowances: Allowances) -> None:
    other, free = await allowances.feature(), await allowances.feature()
    tenant = await allowances.tenant(api_requests=10, **{other: 3, free: None})
    asks = [Ask(other, 4, 2), Ask(free, 5, 5), Ask("api_requests", 4, 1)]
    assert [(each.meter, each.granted, each.left) for each in await ledger.lease(tenant, asks)] == [
        (other, 3, 0), (free, 5, 0), ("api_requests", 4, 6),
    ]  # fmt: skip
    assert [(each.granted, each.left) for each in await ledger.lease(tenant, asks)] == [(0, 0), (0, 0), (0, 6)]
    assert await allowances.given(tenant, "api_requests") == [(4, 4)]


@pytest.mark.parametrize("meter", ["no_such_thing", "users", "core"])
async def test_only_metered_features_are_leased(ledger: Ledger, allowances: Allowances, meter: str) -> None:
    tenant = await allowances.tenant(api_requests=10)
    for refused in (
        ledger.lease(tenant, [Ask("api_requests", 1, 1), Ask(meter, 1, 1)]),
        ledger.give_back(tenant, meter, 1, NOON),
    ):
        with pytest.raises(NotFound) as caught:
            await refused
        assert (caught.value.reason, caught.value.metadata) == ("FEATURE_NOT_FOUND", {"feature": meter})
    assert await allowances.given(tenant, "api_requests") == []


async def test_a_tenant_that_is_not_there_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(NotFound) as caught:
        await lease_one(ledger, TenantId(uuid7()), "api_requests", 1)
    assert caught.value.reason == "TENANT_NOT_FOUND"


async def test_a_tenant_gets_only_its_own(ledger: Ledger, allowances: Allowances) -> None:
    one, other = await allowances.tenant(api_requests=5), await allowances.tenant(api_requests=7)
    await allowances.grant(other, "api_requests", 100)
    assert (await lease_one(ledger, one, "api_requests", 50)).granted == 5
    assert (await lease_one(ledger, other, "api_requests", 50)).granted == 50
    assert await ledger.give_back(other, "api_requests", 50, Period.DAY.start_of(datetime.now(UTC))) == 50
    assert await allowances.given(one, "api_requests") == [(5, 5)]


async def test_what_is_given_back_can_be_given_again(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    slice_ = await lease_one(ledger, tenant, "api_requests", 10)
    await ledger.give_back(tenant, "api_requests", 4, slice_.period_start)
    assert (await lease_one(ledger, tenant, "api_requests", 10)).granted == 4


async def test_never_more_comes_back_than_was_given(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    slice_ = await lease_one(ledger, tenant, "api_requests", 3)
    assert await ledger.give_back(tenant, "api_requests", 10**15, slice_.period_start) == 3
    assert await allowances.given(tenant, "api_requests") == [(0, 0)]
    for start in (slice_.period_start, slice_.period_start - timedelta(days=30)):
        with pytest.raises(NotFound) as caught:
            await ledger.give_back(tenant, "api_requests", 1, start)
        assert caught.value.reason == "LEASE_NOT_FOUND"
    assert await allowances.given(tenant, "api_requests") == [(0, 0)]
    assert (await lease_one(ledger, tenant, "api_requests", 50)).granted == 10


@pytest.mark.parametrize("period", list(Period))
async def test_a_period_is_the_databases_and_utcs(
    doors: Doors, ledger: Ledger, allowances: Allowances, period: Period
) -> None:
    meter = await allowances.feature(period=period.value)
    tenant = await allowances.tenant(**{meter: 10})
    for moment in (NOON, NOON.replace(hour=0), NOON.replace(hour=23, minute=59, second=59, microsecond=999_999)):
        given = await lease_one(ledger_at(doors, moment), tenant, meter, 1)
        assert given.period_start == period.start_of(moment)
        assert moment + given.ends_in == period.end_of(moment)
    clock = await allowances.superuser.fetchval("select now()")
    assert (await lease_one(ledger, tenant, meter, 1)).period_start >= period.start_of(clock)


async def test_a_period_is_utcs_wherever_the_database_stands(migrated: WorkerDatabase, allowances: Allowances) -> None:
    moved = f"alter role tenant_app in database {migrated.name} {{}} timezone"
    await allowances.superuser.execute(moved.format("set") + " = 'America/New_York'")
    database = Database(DatabaseSettings(url=migrated.url("tenant_app")), schema="tenant")
    moment = datetime(2026, 3, 8, 12, tzinfo=UTC)  # the day on which clocks are put forward there
    try:
        ledger = ledger_at(Doors(database, OUTAGE), moment)
        for period in Period:
            meter = await allowances.feature(period=period.value)
            given = await lease_one(ledger, await allowances.tenant(**{meter: 10}), meter, 1)
            assert (given.period_start, moment + given.ends_in) == (period.start_of(moment), period.end_of(moment))
    finally:
        await allowances.superuser.execute(moved.format("reset"))
        await database.close()


async def test_a_new_period_begins_with_the_whole_allowance(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    midnight = datetime(2026, 4, 1, tzinfo=UTC)
    before, after = (
        ledger_at(doors, midnight - timedelta(microseconds=1)),
        ledger_at(doors, midnight),
    )
    last = await lease_one(before, tenant, "api_requests", 10)
    assert (last.granted, last.ends_in) == (10, timedelta(microseconds=1))
    assert (await lease_one(before, tenant, "api_requests", 1)).granted == 0
    assert (await lease_one(after, tenant, "api_requests", 6)).granted == 6
    # What comes back for yesterday is yesterday's, and gives nothing today.
    await after.give_back(tenant, "api_requests", 5, last.period_start)
    assert await allowances.given(tenant, "api_requests") == [(5, 5), (6, 6)]
    assert (await lease_one(after, tenant, "api_requests", 10)).granted == 4


async def test_a_plan_that_grows_or_shrinks_in_mid_period_counts_at_once(
    ledger: Ledger, allowances: Allowances
) -> None:
    tenant = await allowances.tenant()
    await allowances.plan(tenant, "basic")
    assert (await lease_one(ledger, tenant, "api_requests", 5000)).granted == 1000
    await allowances.plan(tenant, "premium")
    more = await lease_one(ledger, tenant, "api_requests", 4000)
    assert (more.granted, more.left, more.limit) == (4000, 5000, 10_000)
    await allowances.plan(tenant, "basic")
    none = await lease_one(ledger, tenant, "api_requests", 1)
    assert (none.granted, none.left, none.limit) == (0, 0, 1000)
    await ledger.give_back(tenant, "api_requests", 4000, none.period_start)
    assert (await lease_one(ledger, tenant, "api_requests", 1)).granted == 0
    await ledger.give_back(tenant, "api_requests", 3, none.period_start)
    assert (await lease_one(ledger, tenant, "api_requests", 9)).granted == 3


async def test_a_limit_that_is_lowered_while_a_lease_waits_counts(
    ledger: Ledger, allowances: Allowances, doors: Doors
) -> None:
    """A lease that read its limit before it had its turn would give out by the old one."""
    tenant = await allowances.tenant(api_requests=1000)
    await lease_one(ledger, tenant, "api_requests", 10)

    async with doors.tenant(tenant) as connection:
        await repository.lock_accounts(connection, tenant, ["api_requests"], None)
        waiting = asyncio.create_task(lease_one(ledger, tenant, "api_requests", 500))
        await eventually(allowances.somebody_waits)
        await allowances.limit(tenant, "api_requests", 15)
    assert (await waiting).granted == 5


async def test_without_a_database_the_port_says_that_it_cannot_know() -> None:
    nowhere = DatabaseSettings.model_validate({"url": "postgresql://x:y@127.0.0.1:1/x"})
    ledger = ledger_at(Doors(Database(nowhere, schema="tenant"), OUTAGE))
    with pytest.raises(Unavailable):
        await lease_one(ledger, TenantId(uuid7()), "api_requests", 1)
    with pytest.raises(StoreUnavailable):
        await PostgresLedger(ledger).lease(TenantId(uuid7()), [Ask("api_requests", 1, 1)])
    with pytest.raises(StoreUnavailable):
        await PostgresLedger(ledger).give_back(TenantId(uuid7()), "api_requests", 1, NOON)


async def test_the_port_answers_as_the_ledger(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=3)
    port = PostgresLedger(ledger)
    (given,) = await port.lease(tenant, [Ask("api_requests", 2, 2)])
    assert (given.granted, given.left) == (2, 1)
    await port.give_back(tenant, "api_requests", 1, given.period_start)
    with pytest.raises(NotFound):
        await port.lease(tenant, [Ask("users", 2, 2)])
    assert await allowances.given(tenant, "api_requests") == [(1, 1)]
