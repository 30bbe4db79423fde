"""The holder of leased units: who may return them. Pure.

An account is a random name that its holders keep to themselves: a process has one, and processes that share a pool have
another one together. So a key alone, stolen or not, returns nothing that others have leased.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["SHARED", "LeaseHolder", "Leased", "divided"]

SHARED = ""
"""The account of a holder's name: all keys of that name share it."""


@dataclass(frozen=True, slots=True)
class LeaseHolder:
    """The holder of leased units. `name` is the caller's, and empty for this process itself.

    accounts: those under which units may be out, in the order of their use. A lease is booked under the first.
    """

    name: str = ""
    accounts: tuple[str, ...] = (SHARED,)


@dataclass(frozen=True, slots=True)
class Leased:
    """The units of a meter and a period that a holder has leased under an account and not returned."""

    holder: str
    account: str
    amount: int


def divided(amount: int, leased: Sequence[Leased], holder: LeaseHolder) -> list[Leased]:
    """Divide a return among what is out, and return the part of each. Units that were not out are left over.

    The accounts come in the holder's order, and in each what was leased under its own name comes first.
    """
    parts, rest = [], amount
    for each in _in_order(leased, holder):
        back = min(rest, each.amount)
        rest -= back
        if back:
            parts.append(Leased(each.holder, each.account, back))
    return parts


def _in_order(leased: Iterable[Leased], holder: LeaseHolder) -> list[Leased]:
    rank = {account: place for place, account in enumerate(holder.accounts)}
    return sorted(leased, key=lambda each: (rank[each.account], each.holder != holder.name, each.holder))
