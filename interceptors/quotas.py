"""Allowances of a period, as data, and the ports that keep them.

The ledger (tenant_svc's PostgreSQL) is the truth: it never gives out more than the tenant's allowance. The pool (Redis
or Valkey) holds units that the ledger gave out and no process has taken yet. A process takes slices from the pool and
charges calls to its slice. So every unit is given out once: losing the pool or a process can only forfeit units, never
double them. What is leased is booked under an account, and only who knows the account can return it. Decisions 0018 and
0046 explain the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeVar

from tenantmesh.interceptors.tenants import TenantId
from tenantmesh.policy.v1 import policy_pb2

__all__ = [
    "LARGEST_AMOUNT",
    "Allowances",
    "Ask",
    "Charge",
    "ChargePer",
    "ChargeReceipt",
    "Drained",
    "PoolAnswer",
    "PoolSlice",
    "QuotaLedger",
    "QuotaPool",
    "Shortage",
    "Slice",
]

LARGEST_AMOUNT = 2**53 - 1
"""The largest amount. Up to here JSON readers and Redis scripts, which count in floating point, are exact."""


class ChargePer(Enum):
    """The occasion of a charge: the call, or each message in one direction."""

    CALL = policy_pb2.CHARGE_PER_CALL
    REQUEST_MESSAGE = policy_pb2.CHARGE_PER_REQUEST_MESSAGE
    RESPONSE_MESSAGE = policy_pb2.CHARGE_PER_RESPONSE_MESSAGE


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount taken from a meter of the tenant's plan, in the meter's unit."""

    meter: str
    cost: int = 1
    per: ChargePer = ChargePer.CALL


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why a charge was not taken: the meter that has fewer units left than it needs."""

    meter: str
    limit: int
    resets_in: float
    """Seconds until its next period."""


class Balance(Protocol):
    """The state of one meter of one tenant, as one process knows it."""

    meter: str
    limit: int | None
    """The allowance of the period; None while it is unlimited or unknown."""
    ends_at: float
    """When the period ends, on the clock of `time.perf_counter`."""

    @property
    def remaining(self) -> int:
        """An estimate of the units left over all processes."""
        ...

    @property
    def runs_short(self) -> bool:
        """True when less than a quarter of the allowance is left; see `limits.SHORT`."""
        ...


class ChargeReceipt(Protocol):
    """Units of one meter that a call took, and that `Allowances.refund` gives back."""

    @property
    def holding(self) -> Balance:
        """The meter's state now, not when the units were taken."""
        ...


T = TypeVar("T", bound=ChargeReceipt)


class Allowances(Protocol[T]):
    """Charges tenants, all meters of a call or none. Adapter: `LeasedQuota`, over a QuotaLedger and a QuotaPool."""

    def charge_now(self, tenant_id: TenantId, charges: Sequence[Charge], now: float) -> tuple[T, ...] | Shortage | None:
        """Must take all charges from memory, or say which meter is used up; None when `charge` must be awaited. `now`
        is a moment of `time.perf_counter`: the call belongs to the period that it began in. Must be safe to call from
        any thread."""
        ...

    async def charge(self, tenant_id: TenantId, charges: Sequence[Charge]) -> tuple[T, ...] | Shortage:
        """Must take all charges or none. Must raise StoreUnavailable when no store can be asked, NotFound for a tenant
        that does not exist, and Internal for a meter that does not exist."""
        ...

    def refund(self, taken: Sequence[T]) -> None:
        """Must give back units that a call took and that are not to be charged. Must be safe to call from any
        thread."""
        ...

    def note_uncounted(self, amount: int) -> None:
        """Must count units that a call was served without a charge, because its policy says so while no store answers.
        Called on the loop that called `start`."""
        ...

    def combined(self, taken: Iterable[T], more: Iterable[T]) -> Sequence[T]:
        """Must add up units that one refund can give back together, so that what a long stream took stays small."""
        ...

    def forget(self, tenant_id: TenantId | None) -> None:
        """Must stop using units that were leased under entitlements which may have changed; None is every tenant.
        Called on the loop that called `start`."""
        ...

    async def start(self) -> None:
        """Must start the background work. Called on the loop that serves."""
        ...

    async def close(self) -> None:
        """Must give everything back. Later charges must take no more than they need."""
        ...


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for units of one meter: at most `want`, and none if fewer than `need` are left."""

    meter: str
    want: int
    need: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Units of one meter that the ledger gave out, and what it has left."""

    meter: str
    granted: int
    left: int
    """Units that the ledger can still give out in this period."""
    limit: int | None
    """The allowance of the period with grants. None is unlimited: then no units were or need to be taken."""
    period_start: datetime
    """Names the period, on the ledger's clock."""
    ends_in: timedelta
    """How long the units can be used, from when they were asked for: until the period ends. An unlimited meter must be
    asked for again then, or sooner where it is unlimited only for a time."""


class QuotaLedger(Protocol):
    """Gives out allowances. Adapters: PostgreSQL in tenant_svc, the same over gRPC, and memory."""

    async def answers(self) -> bool:
        """Must say within a second whether the ledger answers at all, by a question about no tenant, so that no
        tenant's calls can make it look away. Must not raise."""
        ...

    async def lease(self, tenant_id: TenantId, asks: Sequence[Ask], account: str = "") -> Sequence[Slice]:
        """Must take from all meters or none: from each at least `need`, at most `want`; in the order of the asks.

        Must book them under the account, a random name that only those know who may return them; the empty one is that
        of the caller's name.

        Where one has fewer than needed, every `granted` must be 0, and `left` the units left. Must raise NotFound
        `FEATURE_NOT_FOUND` for a meter that is no METERED feature, and another MeshError where it refuses. Must raise
        StoreUnavailable when the outcome is unknown: the caller must then treat every requested unit as spent and must
        not retry. Must raise StoreAway, a kind of it, only where it is known that the ledger answers nobody.
        """
        ...

    async def give_back(
        self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, accounts: Sequence[str] = ("",)
    ) -> int:
        """Must take back units that were leased under the accounts and not used, and return how many: at most those
        that are out under them. Must raise NotFound `LEASE_NOT_FOUND` where none are. When it raises StoreUnavailable,
        the units are forfeited: the caller must not retry."""
        ...


@dataclass(frozen=True, slots=True)
class PoolSlice:
    """Units of one meter taken from the pool."""

    meter: str
    granted: int
    """Zero where another requested meter had too few."""
    pooled: int
    """Units left in the pool."""
    left: int
    """Units that the ledger had left when it last filled the pool."""
    limit: int
    period_start: datetime
    ends_in: timedelta


@dataclass(frozen=True, slots=True)
class PoolAnswer:
    """The pool's slices, in the order of the asks; None for a meter of which it has too few units."""

    slices: Sequence[PoolSlice | None]
    clock: float
    """The pool's own clock when it answered, in seconds; only `QuotaPool.add` compares with it."""


@dataclass(frozen=True, slots=True)
class Drained:
    """Units that were in a pool, and the period they belong to."""

    amount: int
    period_start: datetime


class QuotaPool(Protocol):
    """Holds units for all processes. Adapters: Redis and memory. All methods raise StoreUnavailable when the outcome is
    unknown; then the caller must treat the units concerned as spent."""

    async def accounts(self) -> Sequence[str]:
        """Must return the accounts of the ledger under which its units were leased, the one to lease under first: the
        same for all who share it. Must raise StoreUnavailable while they are unknown, and not later."""
        ...

    async def take(self, tenant_id: TenantId, asks: Sequence[Ask], limits: Sequence[int]) -> PoolAnswer:
        """Must take from all meters or none, at once.

        `limits` are the limits that the caller knows. A pool that was filled under a higher one must be left for
        `drain`. A slice must be at most an eighth of what pool and ledger have left together, unless that is less than
        `need`. Units must never come out twice, whatever the store forgets or remembers when it restarts or is
        replaced.
        """
        ...

    async def add(self, tenant_id: TenantId, units: Slice, amount: int, until: float) -> bool:
        """Must add `amount` of the ledger's units to the pool of their period, usable until `until` on the pool's
        clock. Must return False and do nothing where the pool is of another limit or a later period."""
        ...

    async def give_back(self, tenant_id: TenantId, meter: str, amount: int, period_start: datetime, limit: int) -> bool:
        """Must take units that were leased under that limit back into the pool of their period. Must return False and
        do nothing where there is none, or one of another limit."""
        ...

    async def drain(self, tenant_id: TenantId, meter: str, idle_for: timedelta = timedelta()) -> Drained | None:
        """Must empty the meter's pool and return what was in it; None when it was empty, or when a process took from it
        less than `idle_for` ago."""
        ...
