"""The rules of requests to quotas: what an ask, an amount, a key must be like. Each raises InvalidArgument that names
every field at fault. Whether there is such a feature is found out later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tenantmesh.chassis.texts import text_problem
from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Ask
from tenantmesh.tenant_svc.allocations.allocation import Mode, NewAllocation
from tenantmesh.tenant_svc.gauges.gauge import Adjustment, Report
from tenantmesh.tenant_svc.plans.rules import id_problem

__all__ = [
    "checked_adjustment",
    "checked_asks",
    "checked_new",
    "checked_report",
    "checked_return",
    "checked_used",
]

_MOST_METERS = 16
_LONGEST_KEY = 200
_DEFAULT_TIME_TO_LIVE = timedelta(minutes=5)
_TIMES_TO_LIVE = (timedelta(seconds=1), timedelta(hours=24))

Pairs = Sequence[tuple[str, int]]
"""Meters with amounts, as a request lists them: perhaps twice."""


def checked_asks(asks: Sequence[Ask]) -> Sequence[Ask]:
    """1 to 16 asks of different meters."""
    problems = _meters_problems("asks", [ask.meter for ask in asks])
    for place, ask in enumerate(asks):
        problems[f"asks[{place}].need"] = _amount_problem(ask.need)
        problems[f"asks[{place}].want"] = _amount_problem(ask.want, least=ask.need, called="need")
    _refuse(problems)
    return asks


def checked_return(meter: str, amount: int, period_start: datetime | None) -> datetime:
    """A meter, an amount, and the period, which is returned."""
    problems = {"meter": id_problem(meter), "amount": _amount_problem(amount)}
    if period_start is None:
        raise _invalid({**problems, "period_start": "must be the period_start that the units were leased with"})
    _refuse(problems)
    return period_start


def checked_new(amounts: Pairs, mode: Mode | None, time_to_live: timedelta | None) -> NewAllocation:
    """1 to 16 amounts of different meters, a mode, and 1 s to 24 h; unset, 5 minutes."""
    lasts = _DEFAULT_TIME_TO_LIVE if time_to_live is None else time_to_live
    shortest, longest = _TIMES_TO_LIVE
    problems = _amounts_problems(amounts, least=1)
    problems["time_to_live"] = None if shortest <= lasts <= longest else "must be from 1 s to 24 h"
    if mode is None:
        raise _invalid({**problems, "mode": "must be one of the modes that the contract lists"})
    _refuse(problems)
    return NewAllocation(dict(amounts), mode, lasts)


def checked_used(amounts: Pairs) -> dict[str, int]:
    """Up to 16 amounts of different meters, zero being one."""
    if amounts:
        _refuse(_amounts_problems(amounts, least=0))
    return dict(amounts)


def checked_adjustment(gauge: str, delta: int, key: str, requester: str) -> Adjustment:
    """A change that is one, with a key."""
    within = 1 <= abs(delta) <= LARGEST_AMOUNT
    _refuse(
        {
            "gauge": id_problem(gauge),
            "delta": None if within else f"must be from 1 to {LARGEST_AMOUNT}, or the same below zero",
            "key": text_problem(key, _LONGEST_KEY),
        }
    )
    return Adjustment(gauge, delta, key, requester)


def checked_report(gauge: str, level: int, version: int) -> Report:
    """A level that is not negative, and a version."""
    problems = {
        "gauge": id_problem(gauge),
        "level": _amount_problem(level, least=0),
        "version": None if version >= 1 else "must be at least 1",
    }
    _refuse(problems)
    return Report(gauge, level, version)


def _amounts_problems(amounts: Pairs, *, least: int) -> dict[str, str | None]:
    problems = _meters_problems("amounts", [meter for meter, _ in amounts])
    for place, (_, amount) in enumerate(amounts):
        problems[f"amounts[{place}].amount"] = _amount_problem(amount, least=least)
    return problems


def _meters_problems(field: str, meters: Sequence[str]) -> dict[str, str | None]:
    if not 1 <= len(meters) <= _MOST_METERS:
        return {field: f"must be 1 to {_MOST_METERS}"}
    return {
        f"{field}[{place}].meter": id_problem(meter) or _repetition_problem(meter, meters[:place])
        for place, meter in enumerate(meters)
    }


def _repetition_problem(meter: str, before: Iterable[str]) -> str | None:
    return "must be listed once" if meter in before else None


def _amount_problem(amount: int, *, least: int = 1, called: str = "") -> str | None:
    if least <= amount <= LARGEST_AMOUNT:
        return None
    return f"must be from {called or least} to {LARGEST_AMOUNT}"


def _refuse(problems: Mapping[str, str | None]) -> None:
    if any(problems.values()):
        raise _invalid(problems)


def _invalid(problems: Mapping[str, str | None]) -> InvalidArgument:
    return InvalidArgument.fields(FieldViolation(field, problem) for field, problem in problems.items() if problem)
