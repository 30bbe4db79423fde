"""When a call must be over, and that one which is over already does no work."""

from __future__ import annotations

from typing import Any

import pytest

from tenantmesh.interceptors import CallerKind
from tenantmesh.interceptors.errors import DeadlineExceeded
from tenantmesh.interceptors.links.deadline import Deadline
from tenantmesh.interceptors.policy import MethodPolicy
from tests.unit.interceptors.calls import Context, call
from tests.unit.interceptors.plan_calls import bound_to

POLICY = MethodPolicy("/x.Y/Z", frozenset({CallerKind.USER}))


class Remaining(Context):
    """A context of a client that leaves so many seconds."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self._seconds = seconds

    def time_remaining(self) -> float | None:
        return self._seconds


def entering(seconds: float | None) -> Any:
    passing = call(policy=POLICY)
    passing.context = Remaining(seconds)
    bound_to(Deadline(), POLICY).enter(passing)
    return passing


@pytest.mark.parametrize("late", [0.0, -0.5])
def test_a_call_that_is_over_already_is_refused(late: float) -> None:
    with pytest.raises(DeadlineExceeded):
        entering(late)


def test_the_clients_deadline_counts_up_to_the_policys_maximum() -> None:
    assert entering(0.5).deadline_chosen
    assert not entering(3600).deadline_chosen
    assert 9 < entering(None).time_remaining() <= 10
    assert 59 < entering(3600).time_remaining() <= 60
