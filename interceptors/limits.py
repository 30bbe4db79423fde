"""Burst limits as data, the ports that keep them, and limits as their callers read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

from tenantmesh.interceptors.errors import MeshError

__all__ = [
    "DEFAULT_RATES",
    "LEASE_SHARE",
    "LOCAL_SHARE",
    "SHORT",
    "InstantRateLimiter",
    "Limited",
    "LocalRateLimiter",
    "Rate",
    "RateDecision",
    "RateGrant",
    "RateLimiter",
    "RateStore",
    "StoreAway",
    "StoreUnavailable",
    "Takers",
    "leasable",
    "parse_rate",
    "parse_rates",
    "slot_of",
]


class StoreUnavailable(Exception):
    """The store behind a port did not answer a question in time. The method's policy says what happens then.

    `refusal` is the error for the caller, where another one than the link's own says better what is wrong.
    """

    def __init__(self, message: str = "", refusal: MeshError | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal


class StoreAway(StoreUnavailable):
    """The store answers nobody. Evidence that no single tenant can bring about must show that: no connection, a refused
    key, or an unanswered question about nobody in particular."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit: calls per second in the long run, and calls at once after a pause.

    In any window of w seconds at most `per_second` * w + `burst` calls are admitted, over all processes.
    """

    per_second: float
    burst: int
    interval: float = field(init=False, repr=False, compare=False)
    """Seconds that one call takes to grow back."""

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError(f"per_second and burst of a rate must be above zero: {self}")
        object.__setattr__(self, "interval", 1 / self.per_second)


LOCAL_SHARE = 0.25
"""The part of a limit that one process serves by itself while the store is away: as if four of them shared it."""

DEFAULT_RATES: Mapping[str, Rate] = MappingProxyType(
    {"credential": Rate(5, 20), "public": Rate(50, 200), "api": Rate(50, 100)}
)
"""Burst limits by rate class: of public methods for one network address, of others for one tenant whose plan names
none."""


def parse_rates(text: str) -> dict[str, Rate]:
    """Return the default rates, replaced by those in the text: `credential=5/20,public=50/200` is calls per second in
    the long run, and calls at once. Raises ValueError that says what is wrong."""
    rates = dict(DEFAULT_RATES)
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, rate = entry.partition("=")
        if not (name and equals and "/" in rate):
            raise ValueError(f"write a rate as name=calls_per_second/burst, such as public=50/200; got {entry!r}")
        rates[name] = parse_rate(rate)
    return rates


def parse_rate(text: str) -> Rate:
    """Return the rate that is written `calls_per_second/burst`. Raises ValueError that says what is wrong."""
    per_second, slash, burst = text.partition("/")
    if not slash:
        raise ValueError(f"write a rate as calls_per_second/burst, such as 50/200; got {text!r}")
    return Rate(float(per_second), int(burst))


class RateDecision(NamedTuple):
    """Whether a call is admitted, and what is left. A tuple, because one is made for every call."""

    allowed: bool
    limit: int
    """The burst, in calls."""
    remaining: int
    """Calls that would be admitted right now."""
    retry_after: timedelta
    """When the refused call would be admitted; zero when it was."""
    full_in: float
    """Seconds until the whole burst has grown back, of which some may be leased."""


SHORT = 4
"""A limit runs short when this times what remains is less than the whole."""


class Limited(NamedTuple):
    """A limit as a caller reads it in the `ratelimit` headers.

    name: the rate class or meter.
    reset: seconds until the whole limit is there again.
    window: seconds in which the limit renews itself; None for the periods of the calendar.
    """

    name: str
    limit: int
    remaining: int
    reset: float
    window: int | None = None


class RateLimiter(Protocol):
    """Keeps rates. Adapters: `MemoryRateLimiter` for one process; for all of them `RedisRateLimiter`, which asks for
    every call, and `LeasedRateLimiter`, which asks for many calls at once."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        """Must take the cost when it fits and nothing otherwise, atomically. Must raise StoreUnavailable within 100 ms
        when the store doesn't answer. A cost above the burst never fits."""
        ...


@runtime_checkable
class InstantRateLimiter(RateLimiter, Protocol):
    """A RateLimiter that can nearly always decide at once."""

    def take_now(self, key: str, rate: Rate, cost: int = 1) -> RateDecision | None:
        """Must decide as `take` does where that is possible without waiting, and return None otherwise. Must be safe to
        call from any thread."""
        ...


class LocalRateLimiter(Protocol):
    """Keeps rates in this process, for links whose store is away. Adapter: `MemoryRateLimiter`."""

    def take_now(self, key: str, rate: Rate, cost: int = 1) -> RateDecision:
        """Must decide as `RateLimiter.take` does, without waiting and from any thread."""
        ...

    def give_back(self, key: str, rate: Rate, cost: int = 1) -> None:
        """Must undo a `take_now` that was allowed."""
        ...


class Takers(NamedTuple):
    """A number of takers in a row, each of the same cost."""

    cost: int
    number: int


class RateGrant(NamedTuple):
    """The answer of a rate's store: how many takers of each row it served, and the units leased for later ones."""

    served: tuple[int, ...]
    leased: int
    full_in: float
    """Seconds until everything has grown back."""
    valid_for: float
    """Seconds for which the leased units may be used, from when they were asked for."""


class RateStore(Protocol):
    """Keeps rates whose units are taken in advance. Adapters: Redis and memory.

    Leased units count at once and are used later. A store must still keep the rate: in any window of w seconds at most
    `per_second` * w + `burst` are used. Two rules ensure that. At most a quarter of the burst is leased and not yet
    expired. And leasing takes so much that the rest can't grow back before the lease expires.
    """

    async def take(self, key: str, rate: Rate, takers: Sequence[Takers], lease: int) -> RateGrant:
        """Must serve takers in order as far as the rate goes, and grant the lease when all were served and it fits.
        Must raise StoreUnavailable when the outcome is unknown; then the caller must treat every unit as taken."""
        ...


LEASE_SHARE = 4
"""A quarter of the burst may be leased at a time, over all processes."""
LEAST_LEASED = 10
"""Bursts smaller than this are never leased from."""
SHORTEST_SLOT, LONGEST_SLOT = 0.01, 0.05


def slot_of(rate: Rate) -> float:
    """Return the seconds of a slot. Leases expire at the end of the slot after the one they are made in, and in two
    slots no more grows back than may be leased."""
    return min(LONGEST_SLOT, rate.burst * rate.interval / LEASE_SHARE / 2)


def leasable(rate: Rate) -> bool:
    """Return whether a lease of this rate is large enough, and lives long enough, to be useful."""
    return rate.burst >= LEAST_LEASED and slot_of(rate) >= SHORTEST_SLOT
