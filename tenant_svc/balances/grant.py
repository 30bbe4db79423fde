"""One grant, and the arithmetic of grants: their balances, and the order in which they are used. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from tenantmesh.interceptors.quotas import LARGEST_AMOUNT

__all__ = ["Grant", "balance_at", "burn_order", "countable", "granted", "remaining"]

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Grant:
    """An addition to the allowance of one METERED feature of one tenant.

    `balance` is the amount that was left in the period that began at `balance_period`, in the feature's unit.
    """

    id: uuid.UUID
    feature: str
    amount: int
    priority: int
    effective_time: datetime
    expire_time: datetime | None
    max_rollover: int
    min_rollover: int
    reason: str
    balance: int
    balance_period: datetime
    void_time: datetime | None
    create_time: datetime

    def over(self, now: datetime) -> bool:
        """Return whether it was voided or has expired. No unit of it can be used any more, whatever is left."""
        return self.void_time is not None or (self.expire_time is not None and self.expire_time <= now)

    def in_force(self, now: datetime) -> bool:
        """Return whether it has begun and is not over. It begins at its effective time and ends just before its
        expiry."""
        return self.effective_time <= now and not self.over(now)

    @property
    def burn_key(self) -> tuple[int, datetime, datetime, bytes]:
        """The sort key of the order of use: by priority, then earlier expiry, then age; the id breaks ties."""
        return self.priority, self.expire_time or _NEVER, self.create_time, self.id.bytes


def balance_at(grant: Grant, period_start: datetime) -> int:
    """Return the balance of the grant in the period that begins then, if no unit was used since its own period.

    At each new period the balance becomes MIN(max_rollover, MAX(balance, min_rollover)). Doing that twice changes
    nothing, so the number of periods in between does not matter. The grant need not be in force.
    """
    if period_start <= grant.balance_period:
        return grant.balance
    return min(grant.max_rollover, max(grant.balance, grant.min_rollover))


def countable(amount: int) -> int:
    """Return the amount, or the largest amount if it is larger: a sum of amounts may be, and its readers count no
    further."""
    return min(amount, LARGEST_AMOUNT)


def burn_order(grants: Iterable[Grant], now: datetime) -> list[Grant]:
    """Return the grants that are in force, in the order in which they are used."""
    return sorted((grant for grant in grants if grant.in_force(now)), key=lambda grant: grant.burn_key)


def granted(grants: Iterable[Grant], now: datetime, period_start: datetime) -> int:
    """Return the units that the grants in force still add to the allowance of the period, as far as amounts go."""
    return countable(sum(balance_at(grant, period_start) for grant in grants if grant.in_force(now)))


def remaining(grant: Grant, now: datetime, period_start: datetime) -> int:
    """Return the units of the grant that can still be used, in this period or, before it begins, in its first. Zero
    once it is over."""
    return 0 if grant.over(now) else balance_at(grant, period_start)
