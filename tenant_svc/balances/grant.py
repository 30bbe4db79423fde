"""One grant, and the arithmetic of grants: what is left of one, and in which order they are used. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Grant", "balance_at", "burn_order", "granted", "remaining"]

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Grant:
    """Adds to the allowance of one METERED feature of one tenant.

    `balance` is what was left of it in the period that began at `balance_period`, in the feature's unit.
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
        """Whether it was voided or has expired. Nothing can be used of it any more, whatever is left."""
        return self.void_time is not None or (self.expire_time is not None and self.expire_time <= now)

    def in_force(self, now: datetime) -> bool:
        """Whether it has begun and is not over. It begins at its effective time and ends just before its expiry."""
        return self.effective_time <= now and not self.over(now)

    @property
    def burn_key(self) -> tuple[int, datetime, datetime, bytes]:
        """Grants are used by ascending keys: by priority, then earlier expiry, then age; the id settles ties."""
        return self.priority, self.expire_time or _NEVER, self.create_time, self.id.bytes


def balance_at(grant: Grant, period_start: datetime) -> int:
    """What is left of the grant in the period that begins then, if nothing was used since its own period.

    At each new period what is left becomes MIN(max_rollover, MAX(left, min_rollover)). Doing that twice changes
    nothing, so the number of periods in between does not matter. Does not ask whether the grant is in force.
    """
    if period_start <= grant.balance_period:
        return grant.balance
    return min(grant.max_rollover, max(grant.balance, grant.min_rollover))


def burn_order(grants: Iterable[Grant], now: datetime) -> list[Grant]:
    """The grants that are in force, in the order in which they are used."""
    return sorted((grant for grant in grants if grant.in_force(now)), key=lambda grant: grant.burn_key)


def granted(grants: Iterable[Grant], now: datetime, period_start: datetime) -> int:
    """What the grants that are in force still add to the allowance of the period."""
    return sum(balance_at(grant, period_start) for grant in grants if grant.in_force(now))


def remaining(grant: Grant, now: datetime, period_start: datetime) -> int:
    """What can still be used of the grant, in this period or, before it begins, in its first. Zero once it is over."""
    return 0 if grant.over(now) else balance_at(grant, period_start)
