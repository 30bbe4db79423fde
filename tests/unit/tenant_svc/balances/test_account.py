"""What an account gives and takes back, without a database."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantmesh.interceptors.quotas import LARGEST_AMOUNT
from tenantmesh.tenant_svc.allocations.allocation import Mode, NewAllocation
from tenantmesh.tenant_svc.balances.account import MOST_GIVEN, Account, returned
from tenantmesh.tenant_svc.balances.grant import Grant, burn_order, granted

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
TODAY = NOON.replace(hour=0)
YESTERDAY = TODAY - timedelta(days=1)


def grant(balance: int, priority: int = 0, *, period: datetime = TODAY, **fields: int) -> Grant:
    rolls = {"max_rollover": balance, "min_rollover": 0, **fields}
    return Grant(
        id=uuid.uuid4(), feature="m", amount=max(1, balance), priority=priority, effective_time=YESTERDAY,
        expire_time=None, reason="", balance=balance, balance_period=period, void_time=None, create_time=YESTERDAY,
        **rolls,
    )  # fmt: skip


def account(allowance: int | None, *grants: Grant, from_plan: int = 0, burnt: int = 0) -> Account:
    return Account(
        "m", NOON, TODAY, TODAY + timedelta(days=1), allowance, from_plan + burnt, from_plan, burn_order(grants, NOON)
    )


def test_the_allowance_is_used_before_grants_and_they_in_their_order() -> None:
    later, sooner = grant(5, 2), grant(5, 1)
    after, burns = account(10, later, sooner, from_plan=6).taken(11)
    assert (after.given, after.from_plan, after.left) == (17, 10, 3)
    assert [(burn.grant_id, burn.amount, burn.balance) for burn in burns] == [(sooner.id, 5, 0), (later.id, 2, 3)]
    assert after.limit == account(10, later, sooner, from_plan=6).limit == 20


def test_an_allowance_that_shrank_gives_nothing_and_owes_nothing() -> None:
    shrunk = account(10, grant(4), from_plan=25, burnt=3)
    assert (shrunk.plan_left, shrunk.left, shrunk.limit) == (0, 4, 17)
    after, burns = shrunk.taken(4)
    assert (after.given, after.from_plan, len(burns)) == (32, 25, 1)


def test_what_rolls_over_counts() -> None:
    held = account(
        0, grant(9, period=YESTERDAY, max_rollover=4), grant(0, period=YESTERDAY, min_rollover=3, max_rollover=3)
    )
    assert held.left == 7
    _, burns = held.taken(5)
    assert {burn.balance_period for burn in burns} == {TODAY}


def test_without_a_limit_an_account_gives_what_a_bigint_holds() -> None:
    free = account(None, from_plan=7)
    assert (free.limit, free.left, free.plan_left) == (None, LARGEST_AMOUNT, MOST_GIVEN - 7)
    last = account(None, grant(9), from_plan=MOST_GIVEN - 3)
    assert last.left == 3
    assert last.taken(3)[0].left == 0, "whatever grants there are"


def test_sums_of_amounts_count_as_the_largest_amount() -> None:
    """A thousand of the largest grants are more than a bigint holds, and than a message can say."""
    rich = account(5, *(grant(LARGEST_AMOUNT) for _ in range(1100)))
    assert (rich.limit, rich.left) == (LARGEST_AMOUNT, LARGEST_AMOUNT)
    assert granted(rich.grants, NOON, TODAY) == LARGEST_AMOUNT
    after, _ = rich.taken(rich.left)
    assert (after.given, after.limit, after.left) == (LARGEST_AMOUNT, LARGEST_AMOUNT, LARGEST_AMOUNT)
    spent = replace(rich, given=MOST_GIVEN, from_plan=5)
    assert spent.left == 0


def test_more_than_is_left_is_a_defect() -> None:
    with pytest.raises(ValueError, match="1 more"):
        account(3, grant(2)).taken(6)


@given(
    allowance=st.integers(0, 30),
    balances=st.lists(st.integers(1, 10), max_size=4),
    takes=st.lists(st.integers(1, 20), max_size=8),
    backs=st.lists(st.integers(1, 40), max_size=8),
)
def test_what_is_returned_is_where_it_was_taken_from(
    allowance: int, balances: list[int], takes: list[int], backs: list[int]
) -> None:
    """Giving everything back leaves everything as it was, in whatever portions."""
    grants = [grant(balance, priority) for priority, balance in enumerate(balances)]
    whole = now = account(allowance, *grants)
    burnt: dict[uuid.UUID, int] = {}
    for wanted in takes:
        now, burns = now.taken(min(wanted, now.left))
        for burn in burns:
            burnt[burn.grant_id] = burnt.get(burn.grant_id, 0) + burn.amount
    assert now.given == min(sum(takes), whole.left)
    assert now.given - now.from_plan == sum(burnt.values())
    given, from_plan = now.given, now.from_plan
    for amount in [*backs, 10**9]:
        back = returned(amount, given, from_plan, [(each, burnt[each.id]) for each in grants if each.id in burnt])
        assert given - back.given == min(amount, given)
        for id_, refilled in back.to_grants.items():
            burnt[id_] -= refilled
        # The allowance gets nothing back while a grant is owed something.
        assert back.from_plan == from_plan or not any(burnt.values())
        given, from_plan = back.given, back.from_plan
        assert given - from_plan == sum(burnt.values())
    assert (given, from_plan, set(burnt.values()) - {0}) == (0, 0, set())


def test_a_balance_never_goes_back_to_an_earlier_period() -> None:
    ahead = replace(grant(5), balance_period=TODAY + timedelta(days=1))
    _, (burn,) = account(0, ahead).taken(2)
    assert (burn.balance, burn.balance_period) == (3, TODAY + timedelta(days=1))


def test_a_reservation_lasts_some_time() -> None:
    with pytest.raises(ValueError, match="lasts"):
        NewAllocation({"m": 1}, Mode.NORMAL, timedelta(0))
