"""The arithmetic of grants: rollover, the order in which they are used, and their ends."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.tenant_svc.balances.grant import Grant, balance_at, burn_order, granted, remaining
from tests.unit.tenant_svc.entitlements.facts import LONG_AGO, NOW, grant, grants

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("left", "least", "most", "expected"),
    [
        (70, 0, 100, 70),  # by default what is left is kept
        (70, 0, 0, 0),  # nothing rolls over
        (70, 0, 20, 20),  # at most so much
        (5, 30, 100, 30),  # at least so much
        (5, 100, 100, 100),  # renewed
        (0, 0, 100, 0),
    ],
)
def test_at_a_new_period_what_is_left_is_clamped(left: int, least: int, most: int, expected: int) -> None:
    one = grant(100, balance=left, min_rollover=least, max_rollover=most)
    assert balance_at(one, LONG_AGO) == left, "the period it is counted in"
    assert balance_at(one, LONG_AGO + DAY) == expected


@given(grants())
def test_the_rollover_keeps_what_the_contract_says(one: Grant) -> None:
    later = one.balance_period + DAY
    assert balance_at(one, later) == min(one.max_rollover, max(one.balance, one.min_rollover))
    assert one.min_rollover <= balance_at(one, later) <= one.max_rollover
    assert balance_at(one, one.balance_period - DAY) == one.balance, "clocks may step back"


@given(grants(), st.integers(1, 40))
def test_periods_that_nobody_looked_at_change_nothing(one: Grant, periods: int) -> None:
    """Whoever writes the balance at each period and whoever comes back after many agree."""
    stepwise = one
    for number in range(1, periods + 1):
        period = one.balance_period + number * DAY
        stepwise = grant_with(stepwise, balance_at(stepwise, period), period)
    assert stepwise.balance == balance_at(one, one.balance_period + periods * DAY)


def grant_with(one: Grant, balance: int, period: datetime) -> Grant:
    fields = {name: getattr(one, name) for name in Grant.__slots__}
    return Grant(**{**fields, "balance": balance, "balance_period": period})


@given(st.lists(grants(), unique_by=lambda each: each.id))
def test_only_grants_in_force_are_used_by_priority_then_expiry_then_age(several: list[Grant]) -> None:
    order = burn_order(several, NOW)
    assert {each.id for each in order} == {
        each.id
        for each in several
        if each.void_time is None
        and each.effective_time <= NOW
        and (each.expire_time is None or each.expire_time > NOW)
    }
    for first, second in pairwise(order):
        assert first.priority <= second.priority
        if first.priority == second.priority:
            assert first.expire_time is not None or second.expire_time is None
            if first.expire_time is not None and second.expire_time is not None:
                assert first.expire_time <= second.expire_time
            if first.expire_time == second.expire_time:
                assert first.create_time <= second.create_time
    assert burn_order(reversed(several), NOW) == order, "the order does not depend on how they were read"


@given(st.lists(grants(), unique_by=lambda each: each.id))
def test_what_is_granted_is_what_remains_of_those_in_force(several: list[Grant]) -> None:
    today = NOW.replace(hour=0, minute=0)
    in_force = burn_order(several, NOW)
    assert granted(several, NOW, today) == sum(remaining(each, NOW, today) for each in in_force)


def test_a_grant_begins_at_its_time_and_ends_just_before_its_expiry() -> None:
    one = grant(effective_time=NOW, expire_time=NOW + HOUR)
    assert not one.in_force(NOW - timedelta(microseconds=1))
    assert one.in_force(NOW)
    assert one.in_force(NOW + HOUR - timedelta(microseconds=1))
    assert not one.in_force(NOW + HOUR)


def test_nothing_remains_of_a_grant_that_is_over_and_all_of_one_that_has_yet_to_begin() -> None:
    today = NOW.replace(hour=0, minute=0)
    assert remaining(grant(void_time=NOW), NOW, today) == 0
    assert remaining(grant(expire_time=NOW), NOW, today) == 0
    assert remaining(grant(effective_time=NOW + DAY, balance_period=today + DAY), NOW, today) == 100
