"""The rules for leases and returns. The ledger finds out whether the features exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from tenantmesh.chassis.requests import id_problem, refuse, required
from tenantmesh.interceptors.quotas import LARGEST_AMOUNT, Ask
from tenantmesh.interceptors.tenants import parse_uuid
from tenantmesh.tenant_svc.allowances.holder import SHARED

__all__ = ["amount_problem", "checked_accounts", "checked_asks", "checked_return", "meters_problems"]

_MOST_METERS = 16
_MOST_ACCOUNTS = 8


def checked_asks(asks: Sequence[Ask]) -> Sequence[Ask]:
    """Return the asks. Raises InvalidArgument unless they are 1 to 16, of different meters."""
    problems = meters_problems("asks", [ask.meter for ask in asks])
    for place, ask in enumerate(asks):
        problems[f"asks[{place}].need"] = amount_problem(ask.need)
        problems[f"asks[{place}].want"] = amount_problem(ask.want, least=ask.need, called="need")
    refuse(problems)
    return asks


def checked_accounts(field: str, accounts: Sequence[str]) -> tuple[str, ...]:
    """Return the accounts of a lease or a return, each once; that of the caller's name where none is given.

    Raises InvalidArgument unless each is a UUID or empty, and they are few.
    """
    parsed = {account: SHARED if not account else parse_uuid(account) for account in accounts}
    wrong = any(account is None for account in parsed.values())
    problem = "must be a UUID, and not the nil one; or empty, for the account of the caller's name" if wrong else None
    refuse({field: problem if len(accounts) <= _MOST_ACCOUNTS else f"must be at most {_MOST_ACCOUNTS}"})
    return tuple(dict.fromkeys(str(account) for account in parsed.values())) or (SHARED,)


def checked_return(meter: str, amount: int, period_start: datetime | None) -> datetime:
    """Return the period of a return. Raises InvalidArgument unless it has a meter, an amount and a period."""
    missing = "must be the period_start that the units were leased with" if period_start is None else None
    refuse({"meter": id_problem(meter), "amount": amount_problem(amount), "period_start": missing})
    return required(period_start)


def meters_problems(field: str, meters: Sequence[str]) -> dict[str, str | None]:
    """Return the rules that a list of meters breaks, by field: 1 to 16 ids, each once."""
    if not 1 <= len(meters) <= _MOST_METERS:
        return {field: f"must be 1 to {_MOST_METERS}"}
    return {
        f"{field}[{place}].meter": id_problem(meter) or _repetition_problem(meter, meters[:place])
        for place, meter in enumerate(meters)
    }


def _repetition_problem(meter: str, before: Iterable[str]) -> str | None:
    return "must be listed once" if meter in before else None


def amount_problem(amount: int, *, least: int = 1, called: str = "") -> str | None:
    """Return the rule that an amount breaks, or None. `called` is the field that sets the least amount."""
    if least <= amount <= LARGEST_AMOUNT:
        return None
    return f"must be from {called or least} to {LARGEST_AMOUNT}"
