"""Burst limits as data, and the port that keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

__all__ = ["DEFAULT_RATES", "Decision", "Rate", "RateLimiter", "StoreUnavailable", "parse_rates"]


class StoreUnavailable(Exception):
    """The store behind a port can't be reached in time. What follows from that is the policy's to say."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit: so many calls per second in the long run, and so many at once after a pause.

    In any window of w seconds at most `per_second` * w + `burst` calls are admitted, over all processes.
    """

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError(f"a rate admits something: {self}")

    @property
    def interval(self) -> float:
        """Seconds that one call takes to grow back."""
        return 1 / self.per_second


DEFAULT_RATES: Mapping[str, Rate] = {"credential": Rate(5, 20), "public": Rate(50, 200)}
"""Burst limits of public methods by rate class, for one network address."""


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


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a call is admitted, and what is left."""

    allowed: bool
    limit: int
    """The burst, in calls."""
    remaining: int
    """Calls that would be admitted right now."""
    retry_after: timedelta
    """When the refused call would be admitted; zero when it was."""


class RateLimiter(Protocol):
    """Keeps rates. Adapters: `backends.memory` for one process, `backends.redis_rate_limiter` for all of them."""

    async def take(self, key: str, rate: Rate, cost: int = 1) -> Decision:
        """Must take the cost when it fits and nothing otherwise, atomically. Must raise StoreUnavailable within 100 ms
        when the store doesn't answer. A cost above the burst never fits."""
        ...
