"""Burst limits as data, and the port that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = [
    "DEFAULT_RATES",
    "LEASE_SHARE",
    "Decision",
    "InstantRateLimiter",
    "Rate",
    "RateGrant",
    "RateLimiter",
    "RateStore",
    "StoreUnavailable",
    "Takers",
    "leasable",
    "parse_rates",
    "slot_of",
]


class StoreUnavailable(Exception):
    """The store behind a port can't be reached in time. What follows from that is the policy's to say."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit: so many calls per second in the long run, and so many at once after a pause.

    In any window of w seconds at most `per_second` * w + `burst` calls are admitted, over all processes.
    """

    per_second: float
    burst: int
    interval: float = field(init=False, repr=False, compare=False)
    """Seconds that one call takes to grow back."""

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError(f"a rate admits something: {self}")
        object.__setattr__(self, "interval", 1 / self.per_second)


DEFAULT_RATES: Mapping[str, Rate] = MappingProxyType(
    {"credential": Rate(5, 20), "public": Rate(50, 200), "api": Rate(50, 100)}
)
"""Burst limits by rate class: of public methods for one network address, of others for one tenant whose plan names
none."""


def parse_rates(text: str) -> dict[str, Rate]:
    """The default rates, with those in the text instead: `credential=5/20,public=50/200` is calls per second in the
    long run, and calls at once. Raises ValueError that says what is wrong."""
    rates = dict(DEFAULT_RATES)
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, rate = entry.partition("=")
        per_second, slash, burst = rate.partition("/")
        if not (name and equals and slash):
            raise ValueError(f"write a rate as name=calls_per_second/burst, such as public=50/200; got {entry!r}")
        rates[name] = Rate(float(per_second), int(burst))
    return rates


class Decision(NamedTuple):
    """Whether a call is admitted, and what is left. A tuple, since one is made for every call."""

    allowed: bool
    limit: int
    """The burst, in calls."""
    remaining: int
    """Calls that would be admitted right now."""
    retry_after: timedelta
    """When the refused call would be admitted; zero when it was."""


class RateLimiter(Protocol):
    """Keeps rates. Adapters: `backends.memory` for one process; for all of them `backends.redis_rate_limiter`, which
    asks for every call, and `leased_rate_limiter`, which asks for many calls at once."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> Decision:
        """Must take the cost when it fits and nothing otherwise, atomically. Must raise StoreUnavailable within 100 ms
        when the store doesn't answer. A cost above the burst never fits."""
        ...


@runtime_checkable
class InstantRateLimiter(RateLimiter, Protocol):
    """One that can nearly always decide at once."""

    def take_now(self, key: str, rate: Rate, cost: int = 1) -> Decision | None:
        """Must decide as `take` does where that is possible without waiting, and return None otherwise. Must be safe to
        call from any thread."""
        ...


class Takers(NamedTuple):
    """So many takers in a row of the same cost."""

    cost: int
    number: int


class RateGrant(NamedTuple):
    """What a rate's store gave: to how many of each row of takers, and how much for those who have yet to come."""

    served: tuple[int, ...]
    leased: int
    full_in: float
    """Seconds until everything has grown back."""
    valid_for: float
    """Seconds for which what was leased may be used, from when it was asked for."""


class RateStore(Protocol):
    """Keeps rates whose units are taken in advance. Adapters: Redis and memory.

    What is leased counts at once and is used later, so a store must see to it that in any window of w seconds no more
    than `per_second` * w + `burst` are used, whenever that may be. It does so by two rules: not more than a quarter of
    the burst is leased and not yet expired; and leasing leaves so much taken that it can't have grown back before the
    lease expires.
    """

    async def take(self, key: str, rate: Rate, takers: Sequence[Takers], lease: int) -> RateGrant:
        """Must serve takers in order as far as the rate goes, and lease what is asked for when all were served and it
        fits. Must raise StoreUnavailable when it doesn't answer; then the caller must take it that everything is gone.
        """
        ...


LEASE_SHARE = 4
"""A quarter of the burst may be leased at a time, over all processes."""
LEAST_LEASED = 10
"""Bursts smaller than this are never leased from."""
SHORTEST_SLOT, LONGEST_SLOT = 0.01, 0.05


def slot_of(rate: Rate) -> float:
    """Seconds of a slot: leases expire at the end of the slot after the one they are made in. In two slots no more
    grows back than may be leased."""
    return min(LONGEST_SLOT, rate.burst * rate.interval / LEASE_SHARE / 2)


def leasable(rate: Rate) -> bool:
    """Whether a lease of this rate is large enough, and lives long enough, to be any use."""
    return rate.burst >= LEAST_LEASED and slot_of(rate) >= SHORTEST_SLOT
