"""Grants in the ledger: used after the allowance, in their order, carried into new periods, and refilled in reverse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tenantmesh.chassis.doors import Doors
from tenantmesh.tenant_svc.allowances.ledger import Ledger
from tests.integration.tenant_svc.metering import Allowances, lease_one, ledger_at

# After today, so that grants may expire then although they are in force by the database's clock.
TODAY = datetime(2090, 5, 1, 12, tzinfo=UTC)
TOMORROW = TODAY + timedelta(days=1)


async def test_grants_are_used_after_the_allowance_in_their_order(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    last = await allowances.grant(tenant, "api_requests", 5, priority=2)
    first = await allowances.grant(tenant, "api_requests", 5, priority=1)
    one = await lease_one(ledger, tenant, "api_requests", 4)
    assert (one.granted, one.left, one.limit) == (4, 16, 20)
    two = await lease_one(ledger, tenant, "api_requests", 8)
    assert (two.granted, two.left, two.limit) == (8, 8, 20)
    assert (await allowances.balance(first), await allowances.balance(last)) == (3, 5)
    three = await lease_one(ledger, tenant, "api_requests", 100)
    assert (three.granted, three.left, three.limit) == (8, 0, 20)
    assert await allowances.given(tenant, "api_requests") == [(20, 10)]
    assert (await allowances.burnt(first), await allowances.burnt(last)) == ([5], [5])
    assert (await lease_one(ledger, tenant, "api_requests", 1)).granted == 0


async def test_what_comes_back_fills_the_last_grant_first_and_the_allowance_last(
    ledger: Ledger, allowances: Allowances
) -> None:
    tenant = await allowances.tenant(api_requests=10)
    first = await allowances.grant(tenant, "api_requests", 5, priority=1)
    last = await allowances.grant(tenant, "api_requests", 5, priority=2)
    period = (await lease_one(ledger, tenant, "api_requests", 18)).period_start
    for amount, balances, given in [(2, (0, 4), (16, 10)), (3, (2, 5), (13, 10)), (9, (5, 5), (4, 4))]:
        await ledger.give_back(tenant, "api_requests", amount, period)
        assert (await allowances.balance(first), await allowances.balance(last)) == balances, amount
        assert await allowances.given(tenant, "api_requests") == [given]
    again = await lease_one(ledger, tenant, "api_requests", 100)
    assert (again.granted, again.limit) == (16, 20)


async def test_a_tenant_without_an_allowance_lives_on_grants(ledger: Ledger, allowances: Allowances) -> None:
    meter = await allowances.feature()
    tenant = await allowances.tenant()
    assert (await lease_one(ledger, tenant, meter, 1)).granted == 0
    await allowances.grant(tenant, meter, 3)
    given = await lease_one(ledger, tenant, meter, 5)
    assert (given.granted, given.left, given.limit) == (3, 0, 3)


async def test_a_void_grant_gives_nothing_and_keeps_what_it_gave(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    grant = await allowances.grant(tenant, "api_requests", 10)
    period = (await lease_one(ledger, tenant, "api_requests", 14)).period_start
    await allowances.void(grant)
    none = await lease_one(ledger, tenant, "api_requests", 1)
    assert (none.granted, none.left, none.limit) == (0, 0, 14)
    await ledger.give_back(tenant, "api_requests", 2, period)
    assert (await lease_one(ledger, tenant, "api_requests", 1)).granted == 0
    assert await allowances.given(tenant, "api_requests") == [(12, 10)]


async def test_a_grant_serves_from_its_beginning_until_it_expires(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=0)
    await allowances.grant(tenant, "api_requests", 9, effective_time=TODAY, expire_time=TOMORROW)
    for moment, granted in [
        (TODAY - timedelta(microseconds=1), 0),
        (TODAY, 1),
        (TOMORROW - timedelta(microseconds=1), 1),
        (TOMORROW, 0),
    ]:
        assert (await lease_one(ledger_at(doors, moment), tenant, "api_requests", 1)).granted == granted, moment


async def test_what_is_left_rolls_over_and_a_renewed_grant_is_whole_again(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=0)
    kept = await allowances.grant(tenant, "api_requests", 10, priority=1)
    cut = await allowances.grant(tenant, "api_requests", 10, priority=2, max_rollover=4)
    lost = await allowances.grant(tenant, "api_requests", 10, priority=3, max_rollover=0)
    renewed = await allowances.grant(tenant, "api_requests", 10, priority=4, min_rollover=10)
    period = TODAY.replace(hour=0)
    for grant in (kept, cut, lost, renewed):
        await allowances.superuser.execute(
            "update tenant.grants set balance_period = $2 where grant_id = $1", grant, period
        )
    today, tomorrow = (
        ledger_at(doors, TODAY),
        ledger_at(doors, TOMORROW),
    )
    first = await lease_one(today, tenant, "api_requests", 33)
    assert (first.granted, first.left, first.limit) == (33, 7, 40)
    assert [await allowances.balance(each) for each in (kept, cut, lost, renewed)] == [0, 0, 0, 7]
    await today.give_back(tenant, "api_requests", 25, period)
    assert [await allowances.balance(each) for each in (kept, cut, lost, renewed)] == [2, 10, 10, 10]
    second = await lease_one(tomorrow, tenant, "api_requests", 3)
    assert (second.granted, second.left, second.limit) == (3, 13, 16)
    # `kept` and `cut` have gone on to the new period; the others are still in the old one, where nothing is missing.
    assert [await allowances.balance(each) for each in (kept, cut, lost, renewed)] == [0, 3, 10, 10]
    # What comes back for yesterday corrects yesterday, and nothing of a grant that has gone on.
    await tomorrow.give_back(tenant, "api_requests", 8, period)
    assert await allowances.given(tenant, "api_requests") == [(0, 0), (3, 0)]
    assert await allowances.burnt(kept) == [0, 2]
    assert (await lease_one(tomorrow, tenant, "api_requests", 100)).granted == 13


async def test_what_comes_back_late_is_in_a_grant_that_was_not_used_since(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=1)
    grant = await allowances.grant(tenant, "api_requests", 10)
    today, tomorrow = (
        ledger_at(doors, TODAY),
        ledger_at(doors, TOMORROW),
    )
    period = (await lease_one(today, tenant, "api_requests", 11)).period_start
    assert (await lease_one(tomorrow, tenant, "api_requests", 1)).left == 0
    await tomorrow.give_back(tenant, "api_requests", 4, period)
    assert await allowances.balance(grant) == 4
    assert (await lease_one(tomorrow, tenant, "api_requests", 100)).granted == 4


async def test_a_larger_plan_is_used_before_more_of_a_grant(ledger: Ledger, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=10)
    grant = await allowances.grant(tenant, "api_requests", 10)
    await lease_one(ledger, tenant, "api_requests", 15)
    await allowances.limit(tenant, "api_requests", 13)
    more = await lease_one(ledger, tenant, "api_requests", 4)
    assert (more.left, more.limit) == (4, 23)
    assert await allowances.balance(grant) == 4


async def test_a_clock_that_steps_back_renews_nothing(doors: Doors, allowances: Allowances) -> None:
    tenant = await allowances.tenant(api_requests=0)
    await allowances.grant(tenant, "api_requests", 10, min_rollover=10)
    today, tomorrow = (
        ledger_at(doors, TODAY),
        ledger_at(doors, TOMORROW),
    )
    assert (await lease_one(tomorrow, tenant, "api_requests", 6)).left == 4
    assert (await lease_one(today, tenant, "api_requests", 1)).left == 3
    assert (await lease_one(tomorrow, tenant, "api_requests", 100)).granted == 3
