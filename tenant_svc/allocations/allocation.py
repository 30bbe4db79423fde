"""One reservation of allowances: its items, its states, and the request for one. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256

from tenantmesh.interceptors.errors import FieldViolation, InvalidArgument

__all__ = ["Allocation", "AllocationState", "Item", "Mode", "NewAllocation"]


class AllocationState(Enum):
    """The states of an allocation. UNSPECIFIED: none was made."""

    UNSPECIFIED = "UNSPECIFIED"
    RESERVED = "RESERVED"
    COMMITTED = "COMMITTED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class Mode(Enum):
    """The modes of a request, for when fewer units are left than it needs: see the contract."""

    NORMAL = "NORMAL"
    BEST_EFFORT = "BEST_EFFORT"
    CHECK_ONLY = "CHECK_ONLY"


@dataclass(frozen=True, slots=True)
class NewAllocation:
    """A reservation that a request asks for: amounts by meter, in the features' units, each at least 1."""

    amounts: Mapping[str, int]
    mode: Mode
    time_to_live: timedelta

    def __post_init__(self) -> None:
        # Otherwise the reservation would be expired at once and released to make room for itself, for ever.
        if self.time_to_live <= timedelta(0):
            raise ValueError("a reservation lasts some time")

    @property
    def digest(self) -> str:
        """The digest of the fields. It tells a repeated request from a different one with the same id."""
        fields = [sorted(self.amounts.items()), self.mode.value, self.time_to_live.total_seconds()]
        return sha256(json.dumps(fields).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Item:
    """One meter's part of an allocation: the units allocated, their period, and the units charged in the end."""

    meter: str
    period_start: datetime
    allocated: int
    committed: int = 0


@dataclass(frozen=True, slots=True)
class Allocation:
    """An allocation as it is stored. For CHECK_ONLY, the possible allocation, without id and times.

    overdue: whether it had expired when it was read.
    holder: the name of the caller that reserved it; None for one of before holders were stored.
    """

    id: uuid.UUID | None
    state: AllocationState
    items: tuple[Item, ...]
    expire_time: datetime | None = None
    create_time: datetime | None = None
    overdue: bool = False
    holder: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can still be committed or released."""
        return self.state is AllocationState.RESERVED and not self.overdue

    @property
    def committed(self) -> dict[str, int]:
        """The units charged, by meter."""
        return {item.meter: item.committed for item in self.items}

    def ended(self, state: AllocationState, used: Mapping[str, int]) -> Allocation:
        """Return the allocation after it ended in that state, with the units charged of it."""
        items = tuple(replace(item, committed=used.get(item.meter, 0)) for item in self.items)
        return replace(self, state=state, items=items, overdue=False)

    def used(self, amounts: Mapping[str, int]) -> dict[str, int]:
        """Return the units to charge of each meter. Without amounts, everything; with them, nothing of other meters.

        Raises InvalidArgument for more than was allocated.
        """
        allocated = {item.meter: item.allocated for item in self.items}
        violations = [
            FieldViolation("amounts", f"at most {allocated.get(meter, 0)} of {meter} was allocated")
            for meter, amount in amounts.items()
            if amount > allocated.get(meter, -1)
        ]
        if violations:
            raise InvalidArgument.fields(violations)
        return {meter: amounts.get(meter, 0) for meter in allocated} if amounts else allocated
