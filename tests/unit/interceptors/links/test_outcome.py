"""What a call costs by the way it ends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import pytest

from tenantmesh.interceptors.errors import DeadlineExceeded, NotFound, PermissionDenied, ResourceExhausted, Unavailable
from tenantmesh.interceptors.links.deadline import Deadline
from tenantmesh.interceptors.links.outcome import Outcome, outcome_of
from tenantmesh.interceptors.passage import HandlerAborted
from tests.unit.interceptors.plan_calls import bound_to, call, policy

CODES = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.SERVED),
        (NotFound("X", "x"), Outcome.SERVED),
        (PermissionDenied("X", "x"), Outcome.REFUSED),
        (ResourceExhausted("X", "x"), Outcome.REFUSED),
        (Unavailable("X", "x"), Outcome.FAILED),
        (ValueError("x"), Outcome.FAILED),
        (DeadlineExceeded("X", "x"), Outcome.FAILED),
        (HandlerAborted(CODES.UNAUTHENTICATED), Outcome.REFUSED),
        (HandlerAborted(CODES.UNIMPLEMENTED), Outcome.FAILED),
        (HandlerAborted(CODES.FAILED_PRECONDITION), Outcome.SERVED),
        (asyncio.CancelledError(), Outcome.SERVED),
        (GeneratorExit(), Outcome.SERVED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_what_a_call_costs_depends_on_how_it_ends(error: BaseException | None, outcome: Outcome) -> None:
    made = call(policy())
    made.error = error
    assert outcome_of(made) is outcome


def test_codes_that_a_handler_sets_count_as_well() -> None:
    for code, outcome in ((CODES.NOT_FOUND, Outcome.SERVED), (CODES.UNKNOWN, Outcome.FAILED)):
        made = call(policy())
        made.code = code
        assert outcome_of(made) is outcome


class Context:
    """A client's haste."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


@pytest.mark.parametrize(
    ("remaining", "outcome"), [(None, Outcome.FAILED), (5.0, Outcome.SERVED), (999.0, Outcome.FAILED)]
)
def test_a_deadline_costs_whoever_chose_it(remaining: float | None, outcome: Outcome) -> None:
    of = policy()
    made, link = call(of), bound_to(Deadline(), of)
    made.context = cast("Any", Context(remaining))  # has what this link asks of it
    link.enter(made)
    made.error, made.ended_by = asyncio.CancelledError(), DeadlineExceeded("DEADLINE_EXCEEDED", "too long")
    assert outcome_of(made) is outcome
