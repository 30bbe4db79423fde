"""One meter of one tenant in one period, and the arithmetic of taking units from it and returning them. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tenantmesh.tenant_svc.balances.grant import Grant, balance_at, countable

__all__ = ["MOST_GIVEN", "Account", "Burn", "returned"]

MOST_GIVEN = 2**62
"""The most units given in a period, by an allowance without a limit or by very many grants: far below the largest
bigint."""


@dataclass(frozen=True, slots=True)
class Burn:
    """An amount that was used of a grant, and the balance that is left after it, as of a period."""

    grant_id: uuid.UUID
    amount: int
    balance: int
    balance_period: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """The units given out of an allowance in a period, and those that are left.

    moment: the ledger's clock; it lies in the period.
    allowance: the limit without grants; None is unlimited.
    given: the units given out; `from_plan` of them out of the allowance, the rest out of grants.
    grants: those in force at the moment, in burn order.
    """

    meter: str
    moment: datetime
    period_start: datetime
    period_end: datetime
    allowance: int | None
    given: int = 0
    from_plan: int = 0
    grants: Sequence[Grant] = ()

    @property
    def ends_in(self) -> timedelta:
        """The time from the moment to the end of the period."""
        return self.period_end - self.moment

    @property
    def plan_left(self) -> int:
        """The units that the allowance can still give. Zero after it was lowered below the units given out."""
        allowance = MOST_GIVEN if self.allowance is None else self.allowance
        return max(0, allowance - self.from_plan)

    @property
    def left(self) -> int:
        """The units that allowance and grants can still give, as far as amounts go."""
        return max(0, min(countable(self.plan_left + self._granted), MOST_GIVEN - self.given))

    @property
    def limit(self) -> int | None:
        """The allowance of the period with grants: the units that they gave in it, and those that they can still
        give. As far as amounts go."""
        if self.allowance is None:
            return None
        return countable(self.allowance + (self.given - self.from_plan) + self._granted)

    @property
    def _granted(self) -> int:
        return sum(balance_at(grant, self.period_start) for grant in self.grants)

    def taken(self, amount: int) -> tuple[Account, list[Burn]]:
        """Return the account after giving the amount, and the amounts used of grants. Grants are used after the
        allowance.

        Raises ValueError for more than is left.
        """
        from_plan = min(amount, self.plan_left)
        burns, rest, after = [], amount - from_plan, []
        for grant in self.grants:
            balance = balance_at(grant, self.period_start)
            burnt = min(rest, balance)
            rest -= burnt
            if burnt:
                # Never an earlier period, even if the clock goes back: the rollover would be applied twice.
                period = max(self.period_start, grant.balance_period)
                burns.append(Burn(grant.id, burnt, balance - burnt, period))
                after.append(replace(grant, balance=balance - burnt, balance_period=period))
            else:
                after.append(grant)
        if rest:
            raise ValueError(f"{amount} is {rest} more than is left of {self.meter}")
        given, plan = self.given + amount, self.from_plan + from_plan
        return replace(self, given=given, from_plan=plan, grants=tuple(after)), burns


@dataclass(frozen=True, slots=True)
class Returned:
    """The destinations of a returned amount. `given` and `from_plan` are the units that stay given out."""

    given: int
    from_plan: int
    to_grants: Mapping[uuid.UUID, int]


def returned(amount: int, given: int, from_plan: int, burnt: Sequence[tuple[Grant, int]]) -> Returned:
    """Return the destinations of the amount, or of all units given out when it exceeds them.

    It goes first to the grant that was used last, in the end to the allowance. `burnt` lists the grants with the amount
    that each gave in that period.
    """
    amount = min(amount, given)
    rest, to_grants = min(amount, given - from_plan), {}
    for grant, used in sorted(burnt, key=lambda pair: pair[0].burn_key, reverse=True):
        back = min(rest, used)
        rest -= back
        if back:
            to_grants[grant.id] = back
    return Returned(given - amount, from_plan - (amount - sum(to_grants.values())), to_grants)
