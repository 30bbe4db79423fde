"""The rules for reservations. The use case finds out whether the features exist."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from tenantmesh.chassis.requests import refuse, required
from tenantmesh.tenant_svc.allocations.allocation import Mode, NewAllocation
from tenantmesh.tenant_svc.allowances.rules import amount_problem, meters_problems

__all__ = ["checked_new", "checked_used"]

_DEFAULT_TIME_TO_LIVE = timedelta(minutes=5)
_TIMES_TO_LIVE = (timedelta(seconds=1), timedelta(hours=24))

Pairs = Sequence[tuple[str, int]]
"""Meters with amounts, as a request lists them, with repetitions."""


def checked_new(amounts: Pairs, mode: Mode | None, time_to_live: timedelta | None) -> NewAllocation:
    """Return the reservation. Raises InvalidArgument unless it has 1 to 16 amounts of different meters and a mode, and
    lasts 1 s to 24 h.

    An unset time to live is 5 minutes.
    """
    lasts = _DEFAULT_TIME_TO_LIVE if time_to_live is None else time_to_live
    shortest, longest = _TIMES_TO_LIVE
    problems = _amounts_problems(amounts, least=1)
    problems["time_to_live"] = None if shortest <= lasts <= longest else "must be from 1 s to 24 h"
    problems["mode"] = "must be one of the modes that the contract lists" if mode is None else None
    refuse(problems)
    return NewAllocation(dict(amounts), required(mode), lasts)


def checked_used(amounts: Pairs) -> dict[str, int]:
    """Return the amounts that were used. Raises InvalidArgument unless they are up to 16, zero or more, of different
    meters."""
    if amounts:
        refuse(_amounts_problems(amounts, least=0))
    return dict(amounts)


def _amounts_problems(amounts: Pairs, *, least: int) -> dict[str, str | None]:
    problems = meters_problems("amounts", [meter for meter, _ in amounts])
    for place, (_, amount) in enumerate(amounts):
        problems[f"amounts[{place}].amount"] = amount_problem(amount, least=least)
    return problems
